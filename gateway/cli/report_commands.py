"""``report``: what a province reports of a month, counted from the audit log."""

from __future__ import annotations

import csv
import io
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from gateway.cli.audit_store import audit_store
from gateway.cli.output import (
    NodeOption,
    Output,
    OutputOption,
    console,
    print_json,
    progress_bar,
    say,
    table,
)
from gateway.cli.report_page import report_page
from gateway.clock import from_unix_ms, system_clock, unix_ms
from gateway.errors import CallerError
from gateway.exchange.statistics import DIRECTIONS, Statistics, gather
from gateway.exports.formula_safe import inert
from gateway.storage.engine import reading

COLUMNS = (
    "direction",
    "peer",
    "method",
    "purpose",
    "kinds",
    "outcome",
    "exchanges",
    "records",
    "median_ms",
    "p99_ms",
)


def report(
    month: Annotated[
        str, typer.Option(help="Which month: 2026-10. Default: the last one that is over.")
    ] = "",
    zone: Annotated[
        str, typer.Option(help="Time zone in which the month begins and ends.")
    ] = "Asia/Shanghai",
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the table to this file as CSV (UTF-8).")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write one page with tables and plots; print it for a PDF.")
    ] = None,
    node: NodeOption = Path(),
    output: OutputOption = Output.table,
) -> None:
    """Count what this node asked and answered in a month, from its audit log.

    Exchanges by direction, peer, method, purpose, kinds asked for and outcome, records that were given,
    and how many different learners they were about. Median and 99th percentile are those of the
    asking side: from the signed request to the logged answer, on this node's own clock. The log does
    not say how long this node took to answer; its metrics do.

    Learners are counted without being identified. Whose evidence was erased is not counted; the
    report says how many exchanges that concerns.

    Example: credit-gateway report --month 2026-10 --csv october.csv --html october.html
    """
    place = _zone(zone)
    month, begin, end = _month(month, place)
    with audit_store(node) as store, reading(store.engine) as connection, _bar() as bar:
        task = bar.add_task("counting")
        statistics = gather(
            connection,
            store.config.node.id,
            store.log_size(connection),
            (unix_ms(begin), unix_ms(end)),
            lambda ms: from_unix_ms(ms).astimezone(place).day,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    rows = report_rows(statistics)
    if csv_file is not None:
        _write(csv_file, as_csv(rows))
    if html_file is not None:
        _write(html_file, report_page(statistics, rows, month, zone, (end - begin).days, system_clock()))
    if output is Output.json:
        print_json(_as_json(statistics, rows, month, zone))
    else:
        _say(statistics, rows, month, zone)
        for file in filter(None, (csv_file, html_file)):
            say(f"written: {file}")


def report_rows(statistics: Statistics) -> list[dict[str, Any]]:
    """Return one row a group, in the order of :data:`COLUMNS`, sorted."""
    return [
        {
            "direction": group.direction,
            "peer": group.peer,
            "method": group.method,
            "purpose": group.purpose,
            "kinds": group.kinds,
            "outcome": group.outcome,
            "exchanges": total.exchanges,
            "records": total.records,
            "median_ms": total.percentile_ms(0.5),
            "p99_ms": total.percentile_ms(0.99),
        }
        for group, total in sorted(statistics.totals.items())
    ]


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Return the rows as CSV; no cell is one that a spreadsheet would compute."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if value is None else inert(str(value)) for key, value in row.items()})
    return text.getvalue()


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise CallerError(
            f"--zone: {name!r} is no time zone that this machine knows.",
            remedy='Write one such as "Asia/Shanghai" or "UTC".',
        ) from error


def _month(text: str, zone: tzinfo) -> tuple[str, datetime, datetime]:
    """Return the month as it is written, its begin and its end."""
    if not text:
        now = system_clock().astimezone(zone)
        last = now.year * 12 + now.month - 2
        text = f"{last // 12:04d}-{last % 12 + 1:02d}"
    try:
        begin = datetime.strptime(text, "%Y-%m").replace(tzinfo=zone)
        end = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    except ValueError as error:
        raise CallerError(
            f"--month: {text!r} is no month.", remedy="Write year and month, for example 2026-10."
        ) from error
    return text, begin, end


def _bar() -> Any:
    return progress_bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise CallerError(
            f"{path} cannot be written: {error.strerror}.", remedy="Give another file."
        ) from error


def _as_json(statistics: Statistics, rows: list[dict[str, Any]], month: str, zone: str) -> dict[str, Any]:
    return {
        "node": statistics.node_id,
        "month": month,
        "zone": zone,
        "entries": {"first": statistics.first_entry, "end": statistics.end_entry},
        "exchanges": rows,
        "learners": statistics.learners,
        "exchanges_with_erased_evidence": statistics.erased_entries,
        "acts": dict(sorted(statistics.acts.items())),
    }


def _say(statistics: Statistics, rows: list[dict[str, Any]], month: str, zone: str) -> None:
    say(f"{statistics.node_id}, {month} ({zone}): entries {statistics.first_entry} to {statistics.end_entry}")
    if not rows:
        say("No exchange in this month.")
    else:
        shown = table(*COLUMNS)
        for row in rows:
            shown.add_row(*("" if row[column] is None else str(row[column]) for column in COLUMNS))
        console.print(shown)
    for direction in DIRECTIONS:
        erased = statistics.erased_entries.get(direction, 0)
        beside = f" (and those of {erased} exchanges whose evidence was erased)" if erased else ""
        say(f"Different learners, {direction}: {statistics.learners.get(direction, 0)}{beside}")
    for act, count in sorted(statistics.acts.items()):
        say(f"{act}: {count}")
