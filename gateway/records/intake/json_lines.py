"""JSON Lines: one object of strings a line. Numbers are refused, so that no amount passes through a float."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gateway.records.intake.lines import SourceFile
from gateway.records.intake.rows import REQUIRED_COLUMNS, RefusedRow, Row, build_row, find_column_problem


class _RowError(ValueError):
    """One line is no row; ``column`` names the member."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


def read_rows(source: SourceFile) -> Iterator[Row | RefusedRow]:
    """Yield each row, or why it is none.

    Raises:
        IntakeError: the file as a whole cannot be read.
    """
    found = False
    for text in source:
        if not text.strip():
            continue
        found = True
        try:
            yield build_row(source.line, _members(text))
        except _RowError as error:
            yield RefusedRow(source.line, error.column, str(error))
    if not found:
        raise source.fail("the file is empty")


def _members(text: str) -> dict[str, str]:
    try:
        members = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise _RowError("", f"no JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise _RowError("", "nested too deeply") from error
    if not isinstance(members, dict):
        raise _RowError("", "the line is no JSON object")
    for name, value in members.items():
        if value is None:
            members[name] = ""
        elif not isinstance(value, str):
            what = "a number; write it as text" if isinstance(value, (int, float)) else "no text"
            raise _RowError(name, f"the value is {what}")
        elif not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise _RowError(name, "half a surrogate pair; this is no text")
    problem = find_column_problem([*members, *(n for n in REQUIRED_COLUMNS if n not in members)])
    if problem:
        raise _RowError("", problem)
    missing = [name for name in REQUIRED_COLUMNS if name not in members]
    if missing:
        raise _RowError(missing[0], "it is needed")
    return members


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RowError("", "a member stands twice")
    return members
