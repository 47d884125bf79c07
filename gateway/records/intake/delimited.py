"""CSV (RFC 4180), UTF-8 with or without byte order mark, streamed."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from gateway.records.intake.lines import SourceFile
from gateway.records.intake.rows import RefusedRow, Row, build_row, find_column_problem

FIELD_CHARACTERS_MAX = 64 * 1024
"""A longer field means that a quote was never closed."""


def read_rows(source: SourceFile) -> Iterator[Row | RefusedRow]:
    """Yield each row, or why it is none.

    Raises:
        IntakeError: the file as a whole cannot be read: its header, its quotes, its encoding.
    """
    csv.field_size_limit(FIELD_CHARACTERS_MAX)
    reader = csv.reader(iter(source), strict=True)
    names = _next(reader, source, opened_at=1)
    if names is None:
        raise source.fail("the file is empty")
    problem = find_column_problem(names)
    if problem:
        raise source.fail(problem, remedy="See docs/records.md for the columns.")
    while True:
        line = source.line + 1
        values = _next(reader, source, opened_at=line)
        if values is None:
            break
        if not values:
            continue  # an empty line
        if len(values) != len(names):
            yield RefusedRow(line, "", f"{len(values)} fields, the header has {len(names)}")
        else:
            yield build_row(line, dict(zip(names, values, strict=True)))
    if source.line <= 1:
        raise source.fail("there are no rows below the header")


def _next(reader: Iterator[list[str]], source: SourceFile, opened_at: int) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        text = str(error)
        if "field larger" in text or "unexpected end" in text:
            what = f"a quote opened in the record that begins in line {opened_at} is never closed"
        else:
            what = f"malformed quotes in the record that begins in line {opened_at}"
        raise source.fail(what, remedy="Double every quote inside a quoted field.") from error
