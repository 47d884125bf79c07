"""``records import|list|export``: what this node holds."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer
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
from gateway.errors import CallerError, OperatorError
from gateway.node.assemble import load_secrets, registry_of
from gateway.node.config import load_config
from gateway.policy.purposes import kind_word
from gateway.records import ImportReport, RefusedRow, Registry, import_file
from gateway.schemes import load_scheme

REFUSALS_SHOWN = 20

records_app = typer.Typer(
    help="The records that this node holds.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@records_app.command("import")
def import_records(
    files: Annotated[list[Path], typer.Argument(help="CSV (.csv) or JSON Lines (.jsonl) files.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite records that are held with other content.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Write every refused row to this CSV file: file, line, column, reason."),
    ] = None,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Import records. Each file is kept whole or not at all.

    Rows are checked and translated by the node's scheme while they are read; docs/records.md lists
    the columns. Identity numbers are turned into subject tokens at once and never kept. Every
    refused row is named with line, column and reason. Importing a file again changes nothing.
    The node may keep serving meanwhile.

    Exit status 1 when a file was refused.
    """
    folder = folder_at(node)
    config = load_config(folder.root)
    secrets = load_secrets(folder, config)
    if not secrets:
        raise OperatorError(
            "this node has no federation secret, so learners cannot be given subject tokens.",
            remedy="Put it in place with `credit-gateway init --federation-secret`.",
        )
    scheme, secret = load_scheme(folder.scheme), next(iter(secrets.values()))
    results: list[tuple[Path, ImportReport]] = []
    with registry_of(folder, config) as registry, _refusals(report) as refusals:
        for file in files:
            with _bar(file) as progress:
                outcome = import_file(
                    file,
                    registry,
                    scheme,
                    secret,
                    config.node.id,
                    clock=system_clock,
                    progress=progress,
                    report=refusals.collector(file),
                    replace=replace,
                )
            results.append((file, outcome))
    if output is Output.json:
        print_json([_outcome_json(file, outcome, refusals.first) for file, outcome in results])
    else:
        _show(results, refusals)
    if not all(outcome.kept for _, outcome in results):
        raise typer.Exit(EXIT_NO)


@records_app.command("list")
def list_records(node: NodeOption = Path(), output: OutputOption = Output.table) -> None:
    """Show how many records and learners are held, by kind."""
    with _registry(node) as registry:
        counts = registry.count_by_kind()
    if output is Output.json:
        print_json(
            [{"kind": kind_word(c.kind), "records": c.records, "learners": c.learners} for c in counts]
        )
        return
    rows = table("kind", "records", "learners")
    for count in counts:
        rows.add_row(kind_word(count.kind), str(count.records), str(count.learners))
    console.print(rows)


@records_app.command("export")
def export_records(
    out: Annotated[Path | None, typer.Option(help="File to write; default: standard output.")] = None,
    node: NodeOption = Path(),
) -> None:
    """Write all records as JSON Lines: the original as imported, without any learner identifier."""
    with _registry(node) as registry:
        if out is None:
            _write_export(registry, sys.stdout)
            return
        try:
            with out.open("x", encoding="utf-8") as file:
                count = _write_export(registry, file)
        except FileExistsError as error:
            raise CallerError(f"{out} exists already.", remedy="Nothing was overwritten.") from error
    say(f"wrote {count} records to {out}")


def _write_export(registry: Registry, file: TextIO) -> int:
    count = 0
    for record_id, kind, translated, original in registry.stream():
        status = LearningRecord.FromString(translated).status.state
        line = {
            "record_id": record_id,
            "kind": kind_word(kind),
            "state": status,
            "original": json.loads(original),
        }
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
        count += 1
    return count


@contextmanager
def _registry(node: Path) -> Iterator[Registry]:
    folder = folder_at(node)
    with registry_of(folder, load_config(folder.root)) as registry:
        yield registry


class _Refusals:
    """Keeps the first refused rows for the eye and writes all of them to a file."""

    def __init__(self, file: TextIO | None) -> None:
        self.first: list[tuple[Path, RefusedRow]] = []
        self._writer = csv.writer(file) if file is not None else None
        if self._writer is not None:
            self._writer.writerow(("file", "line", "column", "reason"))

    def collector(self, file: Path) -> Callable[[RefusedRow], None]:
        def collect(refused: RefusedRow) -> None:
            if len(self.first) < REFUSALS_SHOWN:
                self.first.append((file, refused))
            if self._writer is not None:
                cells = (file.name, str(refused.line), refused.column, refused.reason)
                self._writer.writerow([_inert(cell) for cell in cells])

        return collect


def _inert(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


@contextmanager
def _refusals(report: Path | None) -> Iterator[_Refusals]:
    if report is None:
        yield _Refusals(None)
        return
    try:
        with report.open("w", encoding="utf-8", newline="") as file:
            yield _Refusals(file)
    except OSError as error:
        raise CallerError(f"--report {report}: {error.strerror}.") from error


@contextmanager
def _bar(file: Path) -> Iterator[Callable[[int, int, int], None]]:
    """Yield what shows progress: a bar when a person watches."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, disable=not errors.is_terminal, transient=True) as bar:
        task = bar.add_task(file.name, total=None, rows=0)
        yield lambda done, total, rows: bar.update(task, completed=done, total=total, rows=rows)


def _show(results: list[tuple[Path, ImportReport]], refusals: _Refusals) -> None:
    for file, outcome in results:
        rate = outcome.rows / outcome.seconds if outcome.seconds else 0
        if outcome.kept:
            say(
                f"{file.name}: {outcome.rows:,} rows, {outcome.added:,} added, "
                f"{outcome.unchanged:,} unchanged, {outcome.replaced:,} replaced ({rate:,.0f} rows/s)"
            )
        else:
            complain(f"{file.name}: refused, nothing was kept: {outcome.refused:,} of {outcome.rows:,} rows")
    if refusals.first:
        rows = table("file", "line", "column", "reason")
        for file, refused in refusals.first:
            rows.add_row(Text(file.name), str(refused.line), refused.column, Text(refused.reason))
        errors.print(rows)
        total = sum(outcome.refused for _, outcome in results)
        if total > len(refusals.first):
            complain(f"… and {total - len(refusals.first):,} more; --report FILE writes all of them")


def _outcome_json(
    file: Path, outcome: ImportReport, first: list[tuple[Path, RefusedRow]]
) -> dict[str, object]:
    return {
        "file": str(file),
        "kept": outcome.kept,
        "rows": outcome.rows,
        "added": outcome.added,
        "unchanged": outcome.unchanged,
        "replaced": outcome.replaced,
        "refused": outcome.refused,
        "seconds": round(outcome.seconds, 3),
        "first_refusals": [
            {"line": r.line, "column": r.column, "reason": r.reason} for place, r in first if place == file
        ],
    }
