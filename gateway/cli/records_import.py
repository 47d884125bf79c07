"""``records import``: files of records, and what became of them."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from gateway.cli import registry_access
from gateway.cli.element_report import element_report
from gateway.cli.output import (
    EXIT_NO,
    NodeOption,
    Output,
    OutputOption,
    complain,
    errors,
    print_json,
    progress_bar,
    say,
    table,
)
from gateway.cli.registry_access import OpenRegistry
from gateway.clock import system_clock
from gateway.errors import CallerError, IntakeError, OperatorError
from gateway.exports.formula_safe import inert
from gateway.learners.identifier import IDENTIFIER_TYPES, RESIDENT_ID
from gateway.node.garbage import collect_seldom
from gateway.records import ImportFacts, ImportReport, Refusal, import_file
from gateway.records.records_key import records_key_at
from gateway.records.transcripts.document import FORMATS
from gateway.records.transcripts.draft import ElementPlace

REFUSALS_SHOWN = 20
"""Refusals that are printed; ``--report`` writes all of them."""
REPORT_HEADER = ("file", "line", "column", "reason")


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


def import_records(
    files: Annotated[
        list[Path], typer.Argument(help="Tables (.csv, .xlsx, .jsonl) or transcripts (.xml, .json).")
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the new content of records that are there already.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Write everything that is wrong to this CSV file: file, line, column, reason."),
    ] = None,
    issuer_name: Annotated[
        str, typer.Option(help="The institution that hands in an upload without naming itself.")
    ] = "",
    issuer_code: Annotated[str, typer.Option(help="Its code, for example 10351.")] = "",
    issuer_code_scheme: Annotated[
        str, typer.Option(help="Which code that is: uscc, moe-school or local.")
    ] = "",
    learner: Annotated[
        str, typer.Option(help="Who brought the transcript; `-` reads the identifier from standard input.")
    ] = "",
    identifier_type: Annotated[
        str, typer.Option(help=f"Type of the identifier: {', '.join(IDENTIFIER_TYPES)}.")
    ] = RESIDENT_ID,
    format_name: Annotated[
        str, typer.Option("--format", help=f"Take only this kind of transcript: {', '.join(FORMATS)}.")
    ] = "",
    report_elements: Annotated[
        Path | None,
        typer.Option(help="Write where each element of a transcript went: a table, or JSON (FILE.json)."),
    ] = None,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Import records. Each file is kept whole or not at all.

    Rows are checked and translated by the node's scheme while they are read; docs/records.md lists
    the columns. Identifiers of learners become subject tokens at once and are kept nowhere. Every
    refused row is named by line, column and reason, never by its values. Importing a file again
    changes nothing. The node may keep serving meanwhile; Ctrl-C leaves the registry as it was.

    The three spreadsheets that universities upload to a credit bank (own courses, courses of other
    schools, certificates) are recognised by their headers; --issuer-name says whose they are.

    Transcripts that a learner brings from elsewhere (ELMO, CLR 2.0, Open Badges 3.0, European Learning
    Model) are recognised by their content and kept under --learner; nothing of them is dropped.

    Exit status 0 when all files were imported, 1 when one was refused.

    Example: credit-gateway records import records/2026.csv --report refused.csv
    """
    with registry_access.open_registry(node) as opened, ExitStack() as stack:
        if not opened.secrets:
            raise OperatorError(
                "this node has no federation secret, so learners cannot be given subject tokens.",
                remedy="Put it in place with `credit-gateway init --federation-secret`.",
            )
        if format_name and format_name not in FORMATS:
            raise CallerError(
                f"--format {format_name[:32]!r} is unknown.", remedy=f"Use {', '.join(FORMATS)}."
            )
        places = None if report_elements is None else stack.enter_context(element_report(report_elements))
        facts = ImportFacts(
            learner_type=identifier_type,
            learner=sys.stdin.readline().strip() if learner == "-" else learner.strip(),
            format_name=format_name,
            contexts=opened.contexts,
            records_key=records_key_at(opened.records_key_file),
            issuer_name=issuer_name,
            issuer_code=issuer_code,
            issuer_code_scheme=issuer_code_scheme,
        )
        writer = stack.enter_context(_report_writer(report)) if report is not None else None
        collect_seldom()
        results = [
            _import_one(file, opened, facts, replace=replace, write=writer, places=places) for file in files
        ]
    if output is Output.json:
        print_json([_result_json(result) for result in results])
    else:
        _show_results(results, report)
    if not all(result.kept for result in results):
        raise typer.Exit(EXIT_NO)


def _import_one(
    file: Path,
    opened: OpenRegistry,
    facts: ImportFacts,
    *,
    replace: bool,
    write: Callable[[Sequence[str]], None] | None,
    places: Callable[[str, ElementPlace], None] | None,
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
                facts=facts,
                elements=lambda place: places(file.name, place) if places is not None else None,
                older_secrets=opened.secrets[1:],
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
        yield lambda cells: writer.writerow([inert(cell) for cell in cells])


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
    with progress_bar(*columns) as bar:
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
