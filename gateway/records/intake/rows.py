"""The record layout: columns of a row, and what one row becomes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from gateway.learners.identifier import RESIDENT_ID
from gateway.schemes import LocalRecord

LEARNER_ID = "learner_id"
LEARNER_ID_TYPE = "learner_id_type"
ORIGINAL_PREFIX = "original."

RECORD_COLUMNS = tuple(field.name for field in fields(LocalRecord) if field.name != "originals")
COLUMNS = (LEARNER_ID_TYPE, LEARNER_ID, *RECORD_COLUMNS)
"""Every column of the layout (docs/records.md), beside ``original.<name>``."""
REQUIRED_COLUMNS = (LEARNER_ID, "record_id", "kind", "title")


@dataclass(frozen=True, slots=True)
class Row:
    """One achievement with the identifier of its learner, as the file states them."""

    line: int
    identifier_type: str
    identifier: str
    record: LocalRecord

    def __repr__(self) -> str:
        """Name the line only."""
        return f"Row(line={self.line})"


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """Why one row cannot be imported. Never repeats an identifier."""

    line: int
    column: str
    reason: str


def find_column_problem(names: Sequence[str]) -> str:
    """Return what is wrong with a file's columns, or nothing."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return f"column {name!r} stands twice"
        seen.add(name)
        if name not in COLUMNS and not name.startswith(ORIGINAL_PREFIX):
            near = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = (
                f"did you mean {near[0]!r}"
                if near
                else f"name it {ORIGINAL_PREFIX}{name} to keep it as it is"
            )
            return f"unknown column {name[:64]!r}; {hint}"
    missing = [name for name in REQUIRED_COLUMNS if name not in seen]
    if missing:
        return f"needed columns are missing: {', '.join(missing)}"
    return ""


def build_row(line: int, values: Mapping[str, str]) -> Row:
    """Return a row from its values by column; what is not stated is empty."""
    originals = tuple(
        (name.removeprefix(ORIGINAL_PREFIX), value)
        for name, value in values.items()
        if name.startswith(ORIGINAL_PREFIX) and value
    )
    record = LocalRecord(**{name: values.get(name, "") for name in RECORD_COLUMNS}, originals=originals)
    identifier_type = values.get(LEARNER_ID_TYPE) or RESIDENT_ID
    return Row(line, identifier_type, values.get(LEARNER_ID, ""), record)
