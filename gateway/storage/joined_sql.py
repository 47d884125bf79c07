"""Several statements that only write, as one: for PostgreSQL.

A data-modifying ``WITH`` runs all of them; rows travel as one array a column (``unnest``), so that the
text, and with it the prepared plan, is the same for any number of rows. All of them see the database as
it was before: they must not depend on one another, and touch different rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

Values = tuple[Any, ...]

_PLAIN_INSERT = re.compile(r"(INSERT INTO \w+ \([\w, ]+\)) VALUES \((\?(?:, \?)*)\)")
_ARRAYS = {int: "bigint[]", bytes: "bytea[]", str: "text[]"}


@cache
def _is_plain_insert(statement: str) -> bool:
    return _PLAIN_INSERT.fullmatch(statement) is not None


def can_wait(statement: str, rows: Sequence[Values], earlier: Sequence[tuple[str, Sequence[Values]]]) -> bool:
    """Whether the statement may be joined with ``earlier`` ones: a plain INSERT of integers, text and
    bytes, or an UPDATE run once, of a table that none of them writes.
    """
    if _is_plain_insert(statement):
        is_fit = all(type(value) in _ARRAYS for value in rows[0])
    else:
        is_fit = len(rows) == 1 and statement.startswith("UPDATE ")
    return is_fit and _table_of(statement) not in {_table_of(other) for other, _ in earlier}


@cache
def _table_of(statement: str) -> str:
    return statement.removeprefix("INSERT INTO ").removeprefix("UPDATE ").split(" ", 1)[0]


def as_one(statements: Sequence[tuple[str, Sequence[Values]]]) -> tuple[str, list[Any]]:
    """Return one statement in the driver's style (``%s``), and its values.

    Statements are those that :func:`can_wait`; a column holds integers, text or bytes in all rows.
    """
    shapes, values = [], []
    for statement, rows in statements:
        if _is_plain_insert(statement):
            shapes.append((statement, tuple(_ARRAYS[type(value)] for value in rows[0])))
            values += [list(column) for column in zip(*rows, strict=True)]
        else:
            shapes.append((statement, ()))
            values += rows[0]
    return _joined(tuple(shapes)), values


@cache
def _joined(shapes: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    parts = []
    for at, (statement, arrays) in enumerate(shapes):
        found = _PLAIN_INSERT.fullmatch(statement)
        if found is None:
            text = statement.replace("?", "%s")
        else:
            columns = ", ".join(f"%b::{array}" for array in arrays)
            text = f"{found[1]} SELECT * FROM unnest({columns})"  # noqa: S608 - the caller's own text
        parts.append(f"w{at} AS ({text})")
    return f"WITH {', '.join(parts)} SELECT 1"
