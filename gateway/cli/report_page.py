"""The monthly report as one HTML page: tables and plots, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from gateway.exchange.statistics import DIRECTIONS, Statistics

WIDTH, HEIGHT, LEFT, BOTTOM = 680, 150, 44, 18
COLOURS = {"answering": "#0b6e99", "asking": "#b45309"}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
@page {{ size: A4; margin: 12mm }}
body {{ font: 11px/1.4 "Noto Sans", "Noto Sans CJK SC", sans-serif; color: #1c1917 }}
body {{ max-width: 186mm; margin: auto }}
h1 {{ font-size: 18px; margin: 8px 0 0 }} h2 {{ font-size: 13px; margin: 14px 0 4px }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: 2px 6px; border-bottom: 1px solid #d6d3d1 }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums }}
svg {{ width: 100%; height: auto }} text {{ font-size: 10px; fill: #44403c }}
p.note {{ color: #57534e }}
</style></head><body>
<h1>{title}</h1>
<p class="note">{subtitle}</p>
{parts}
</body></html>
"""

NOTE = (
    "Counted from the audit log. Durations are those of the asking side: from the signed request to the "
    "logged answer, on this node's own clock. Learners are counted by keyed references and are not "
    "identified; those whose evidence was erased are not counted."
)


def report_page(
    statistics: Statistics, rows: Sequence[Mapping[str, Any]], month: str, zone: str, days: int, now: datetime
) -> str:
    """Return the page of one month of ``days`` days."""
    subtitle = (
        f"{zone} · audit log entries {statistics.first_entry} to {statistics.end_entry} · "
        f"made {now:%Y-%m-%d %H:%M} UTC"
    )
    parts = [
        "<h2>In one line</h2>" + _summary(statistics, rows),
        "<h2>Exchanges a day</h2>" + _days(statistics, days),
        "<h2>Exchanges by outcome</h2>" + _bars(rows),
        "<h2>All groups</h2>" + _table(rows),
        f'<p class="note">{escape(NOTE)}</p>',
    ]
    title = escape(f"Credit exchange of {statistics.node_id}, {month}")
    return _PAGE.format(title=title, subtitle=escape(subtitle), parts="\n".join(parts))


def _summary(statistics: Statistics, rows: Sequence[Mapping[str, Any]]) -> str:
    cells = []
    for direction in DIRECTIONS:
        own = [row for row in rows if row["direction"] == direction]
        given = sum(row["exchanges"] for row in own if row["outcome"] == "OK")
        cells.append(
            f"<tr><td>{direction}</td>"
            f'<td class="n">{sum(row["exchanges"] for row in own)}</td><td class="n">{given}</td>'
            f'<td class="n">{sum(row["records"] for row in own)}</td>'
            f'<td class="n">{statistics.learners.get(direction, 0)}</td>'
            f'<td class="n">{statistics.erased_entries.get(direction, 0)}</td></tr>'
        )
    heads = "".join(
        f'<th class="n">{head}</th>'
        for head in ("exchanges", "answered OK", "records", "different learners", "with erased evidence")
    )
    return f"<table><tr><th>direction</th>{heads}</tr>{''.join(cells)}</table>"


def _days(statistics: Statistics, days: int) -> str:
    """Two bars a day."""
    highest = max(statistics.by_day.values(), default=0) or 1
    slot = (WIDTH - LEFT) / days
    bars = []
    for day in range(1, days + 1):
        for place, direction in enumerate(DIRECTIONS):
            count = statistics.by_day[direction, day]
            height = (HEIGHT - BOTTOM - 12) * count / highest
            x, y = LEFT + (day - 1) * slot + place * slot / 2.4, HEIGHT - BOTTOM - height
            bars.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{slot / 2.6:.1f}" height="{height:.1f}" '
                f'fill="{COLOURS[direction]}"><title>{direction}, day {day}: {count}</title></rect>'
            )
        if day == 1 or day % 5 == 0:
            bars.append(f'<text x="{LEFT + (day - 1) * slot:.1f}" y="{HEIGHT - 4}">{day}</text>')
    bars.append(f'<text x="0" y="12">{highest}</text><text x="0" y="{HEIGHT - BOTTOM}">0</text>')
    for place, direction in enumerate(DIRECTIONS):
        bars.append(
            f'<text x="{LEFT + 90 * place}" y="10" style="fill:{COLOURS[direction]}">■ {direction}</text>'
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Exchanges a day">{"".join(bars)}</svg>'
    )


def _bars(rows: Sequence[Mapping[str, Any]]) -> str:
    """One bar an outcome and direction."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        counts[row["direction"], row["outcome"]] += row["exchanges"]
    highest = max(counts.values(), default=0) or 1
    bars = []
    for line, ((direction, outcome), count) in enumerate(sorted(counts.items())):
        y, width = 16 * line, (WIDTH - 300) * count / highest
        bars.append(
            f'<text x="0" y="{y + 11}">{direction} {escape(outcome)}</text>'
            f'<rect x="240" y="{y + 2}" width="{width:.1f}" height="11" fill="{COLOURS[direction]}"/>'
            f'<text x="{246 + width:.1f}" y="{y + 11}">{count}</text>'
        )
    height = max(16, 16 * len(counts))
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="By outcome">{"".join(bars)}</svg>'


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "<p>No exchange in this month.</p>"
    numbers = {"exchanges", "records", "median_ms", "p99_ms"}
    kind = {column: ' class="n"' if column in numbers else "" for column in rows[0]}
    head = "".join(f"<th{kind[column]}>{escape(column)}</th>" for column in rows[0])
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind[column]}>{'' if value is None else escape(str(value))}</td>"
            for column, value in row.items()
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
