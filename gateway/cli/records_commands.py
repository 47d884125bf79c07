"""``records import|list|export``: what this node holds."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from google.protobuf.json_format import MessageToDict
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from creditexchange.v1.record_pb2 import LearningRecord
from gateway.cli.output import (
    EXIT_NO,
    NodeOption,
    Output,
    OutputOption,
    complain,
    console,
    errors,
    folder_at,
    print_json,
    say,
    table,
)
from gateway.clock import system_clock
from gateway.errors import CallerError, IntakeError, OperatorError
from gateway.learners.identifier import IDENTIFIER_TYPES, RESIDENT_ID, mask, normalise
from gateway.learners.subject_token import FederationSecret, subject_token
from gateway.policy.purposes import kind_word
from gateway.records import ImportReport, RecordTotal, Refusal, Registry, import_file
from gateway.schemes import Scheme, load_scheme

REFUSALS_SHOWN = 20
"""Refusals that are printed; ``--report`` writes all of them."""
EXPORT_PAGE_ROWS = 500
REPORT_HEADER = ("file", "line", "column", "reason")

records_app = typer.Typer(
    help="The records that this node holds.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@dataclass(frozen=True, slots=True)
class OpenRegistry:
    """What the commands need of their node."""

    registry: Registry
    scheme: Scheme
    secrets: Sequence[FederationSecret]
    """The live ones, the newest first."""
    node_id: str


@contextmanager
def _open_registry(node: Path) -> Iterator[OpenRegistry]:
    """Open the registry of the node in folder ``node``: the one place that knows of node folders.

    Raises:
        OperatorError: something in the folder is missing or wrong.
    """
    from gateway.node.assemble import load_secrets, registry_of
    from gateway.node.config import load_config

    folder = folder_at(node)
    config = load_config(folder.root)
    scheme, secrets = load_scheme(folder.scheme), load_secrets(folder, config)
    with registry_of(folder, config) as registry:
        try:
            yield OpenRegistry(registry, scheme, list(secrets.values()), config.node.id)
        finally:
            registry.close()


@dataclass
class _FileResult:
    """What became of one file; ``problem`` is why it was refused as a whole."""

    file: Path
    report: ImportReport | None = None
    problem: str = ""
    refusals: list[Refusal] = field(default_factory=list)
    """The first ones."""

    @property
    def kept(self) -> bool:
        return self.report is not None and self.report.kept


@records_app.command("import")
def import_records(
    files: Annotated[list[Path], typer.Argument(help="CSV (.csv) or JSON Lines (.jsonl) files.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the new content of records that are there already.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Write everything that is wrong to this CSV file: file, line, column, reason."),
    ] = None,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Import records. Each file is kept whole or not at all.

    Rows are checked and translated by the node's scheme while they are read; docs/records.md lists
    the columns. Identifiers of learners become subject tokens at once and are kept nowhere. Every
    refused row is named by line, column and reason, never by its values. Importing a file again
    changes nothing. The node may keep serving meanwhile; Ctrl-C leaves the registry as it was.

    Exit status 0 when all files were imported, 1 when one was refused.

    Example: credit-gateway records import records/2026.csv --report refused.csv
    """
    with _open_registry(node) as opened, ExitStack() as stack:
        if not opened.secrets:
            raise OperatorError(
                "this node has no federation secret, so learners cannot be given subject tokens.",
                remedy="Put it in place with `credit-gateway init --federation-secret`.",
            )
        writer = stack.enter_context(_report_writer(report)) if report is not None else None
        results = [_import_one(file, opened, replace=replace, write=writer) for file in files]
    if output is Output.json:
        print_json([_result_json(result) for result in results])
    else:
        _show_results(results, report)
    if not all(result.kept for result in results):
        raise typer.Exit(EXIT_NO)


@records_app.command("list")
def list_records(
    learner: Annotated[
        str, typer.Option(help="Only this learner's; `-` reads the identifier from standard input.")
    ] = "",
    identifier_type: Annotated[
        str, typer.Option(help=f"Type of the identifier: {', '.join(IDENTIFIER_TYPES)}.")
    ] = RESIDENT_ID,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Show how many records are held, by kind and version of the scheme: of everybody, or of one learner.

    The identifier is shown masked and written nowhere. Records that another version of the scheme
    translated are translated again when they are asked for; importing their file again does it at once.

    Example: credit-gateway records list --learner -
    """
    identifier = sys.stdin.readline().strip() if learner == "-" else learner.strip()
    if learner and not identifier:
        raise CallerError("--learner is empty.", remedy="Give the identifier, or - to read it.")
    who = mask(normalise(identifier_type, identifier)) if identifier else ""
    with _open_registry(node) as opened:
        if identifier and not opened.secrets:
            raise OperatorError(
                "this node has no federation secret, so no learner can be looked up.",
                remedy="Put it in place with `credit-gateway init --federation-secret`.",
            )
        tokens = [subject_token(s, identifier_type, identifier) for s in opened.secrets if identifier]
        totals = opened.registry.totals(tokens)
        present = opened.scheme.reference.digest
    if output is Output.json:
        print_json({"learner": who or None, "totals": [_total_json(total, present) for total in totals]})
        return
    rows = table("kind", "scheme", "records", "learners", title=who or None)
    for total in totals:
        scheme = "present" if total.scheme_digest == present else total.scheme_digest.hex()[:12]
        rows.add_row(kind_word(total.kind), scheme, f"{total.records:,}", f"{total.learners:,}")
    console.print(rows)
    say(f"{sum(total.records for total in totals):,} records")


@records_app.command("export")
def export_records(
    out: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
    node: NodeOption = Path(),
) -> None:
    """Write all records as JSON Lines: as imported, and in the shared model; without learners' identifiers.

    Names of holders and numbers of certificates are part of the records: keep the file as safe as
    the registry itself.

    Example: credit-gateway records export --out records.jsonl
    """
    with _open_registry(node) as opened:
        if out is None:
            _write_export(opened.registry, sys.stdout)
            return
        try:
            file = open(out, "x", encoding="utf-8", opener=_private)  # noqa: SIM115 - Path has no opener
        except OSError as error:
            raise CallerError(f"--out {out}: {error.strerror}.", remedy="Nothing was overwritten.") from error
        with file:
            count = _write_export(opened.registry, file)
    say(f"wrote {count:,} records to {out}")


def _private(path: str, flags: int) -> int:
    """Open a file for this user only."""
    import os

    return os.open(path, flags, 0o600)


def _write_export(registry: Registry, file: TextIO) -> int:
    count, last = 0, ""
    while page := registry.list_(after=last, limit=EXPORT_PAGE_ROWS):
        for record in page:
            line = {
                "record_id": record.record_id,
                "kind": kind_word(record.kind),
                "original": json.loads(record.original),
                "shared": MessageToDict(
                    LearningRecord.FromString(record.translated), preserving_proto_field_name=True
                ),
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        count, last = count + len(page), page[-1].record_id
    return count


def _import_one(
    file: Path, opened: OpenRegistry, *, replace: bool, write: Callable[[Sequence[str]], None] | None
) -> _FileResult:
    """Import one file; that it is refused is a result, not an error."""
    result = _FileResult(file)

    def collect(refusal: Refusal) -> None:
        if len(result.refusals) < REFUSALS_SHOWN:
            result.refusals.append(refusal)
        if write is not None:
            write((file.name, str(refusal.line), refusal.column, refusal.reason))

    try:
        with _bar(file) as progress:
            result.report = import_file(
                file,
                opened.registry,
                opened.scheme,
                opened.secrets[0],
                opened.node_id,
                system_clock,
                progress,
                collect,
                replace=replace,
            )
    except IntakeError as error:
        result.problem = str(error)
        if write is not None:
            write((file.name, "", "", str(error)))
    except KeyboardInterrupt:
        complain(f"{file.name}: interrupted; nothing of it was kept")
        raise
    return result


@contextmanager
def _report_writer(path: Path) -> Iterator[Callable[[Sequence[str]], None]]:
    """Yield what writes a line to the report. Raises ``CallerError``: the file cannot be written."""
    try:
        file = path.open("w", encoding="utf-8-sig", newline="")
    except OSError as error:
        raise CallerError(f"--report {path}: {error.strerror}.") from error
    with file:
        writer = csv.writer(file)
        writer.writerow(REPORT_HEADER)
        yield lambda cells: writer.writerow([_inert(cell) for cell in cells])


def _inert(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


@contextmanager
def _bar(file: Path) -> Iterator[Callable[[int, int, int], None]]:
    """Yield what shows progress: a bar when a person watches, else nothing."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, disable=not errors.is_terminal, transient=True) as bar:
        task = bar.add_task(file.name, total=None, rows=0, rate=0.0)

        def show(done: int, total: int, rows: int) -> None:
            elapsed = bar.tasks[task].elapsed or 0.0
            bar.update(task, completed=done, total=total, rows=rows, rate=rows / elapsed if elapsed else 0.0)

        yield show


def _show_results(results: Sequence[_FileResult], report: Path | None) -> None:
    for result in results:
        name, outcome = result.file.name, result.report
        if outcome is None:
            complain(f"refused, nothing was kept. {result.problem}")
        elif outcome.kept:
            rate = outcome.rows / outcome.seconds if outcome.seconds else 0
            say(
                f"{name}: {outcome.rows:,} rows in {outcome.seconds:.1f} s ({rate:,.0f} rows/s): "
                f"{outcome.added:,} added, {outcome.unchanged:,} unchanged, {outcome.replaced:,} replaced"
            )
        else:
            complain(f"{name}: refused, nothing was kept: {outcome.refused:,} of {outcome.rows:,} rows")
            _show_refusals(result, report)


def _show_refusals(result: _FileResult, report: Path | None) -> None:
    rows = table("line", "column", "reason")
    for refusal in result.refusals:
        rows.add_row(str(refusal.line), Text(refusal.column), Text(refusal.reason))
    errors.print(rows)
    if report is not None:
        complain(f"everything that is wrong: {report}")
    elif len(result.refusals) == REFUSALS_SHOWN:
        complain("there may be more: --report FILE writes all of it")


def _result_json(result: _FileResult) -> dict[str, Any]:
    data: dict[str, Any] = {"file": str(result.file), "kept": result.kept}
    if result.report is None:
        return data | {"problem": result.problem}
    data |= asdict(result.report) | {"seconds": round(result.report.seconds, 3)}
    return data | {"first_refusals": [asdict(refusal) for refusal in result.refusals]}


def _total_json(total: RecordTotal, present: bytes) -> dict[str, Any]:
    return {
        "kind": kind_word(total.kind),
        "scheme_digest": total.scheme_digest.hex(),
        "scheme_is_present": total.scheme_digest == present,
        "records": total.records,
        "learners": total.learners,
    }
