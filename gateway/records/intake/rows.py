"""The record layout (docs/records.md): which columns there are, and what one row becomes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

from gateway.learners.identifier import RESIDENT_ID
from gateway.records.records_key import RecordsKey
from gateway.records.refusal import RefusedRow, shown_name
from gateway.records.source import TEXT_FIELDS, make_record
from gateway.records.transcripts.contexts import PINS
from gateway.schemes import LocalRecord, Scheme

LEARNER_ID = "learner_id"
LEARNER_ID_TYPE = "learner_id_type"
ORIGINAL_PREFIX = "original."
RESERVED_PREFIX = "original.transcript."
"""Originals by which the gateway itself notes how a foreign transcript is to be read; no table may."""

COLUMNS = (LEARNER_ID_TYPE, LEARNER_ID, *TEXT_FIELDS)
"""Every column of the layout, beside ``original.<name>``."""
REQUIRED_COLUMNS = (LEARNER_ID, "record_id", "kind", "title")

FIELD_CHARACTERS_MAX = 64 * 1024
"""A longer field is refused."""
COLUMNS_MAX = 200
"""More columns than any layout has: a bound on work."""

_KNOWN = frozenset(COLUMNS)


@dataclass(frozen=True, slots=True)
class ImportFacts:
    """What a file does not say itself and the operator adds."""

    records_key: RecordsKey | None = None
    """Makes ids and digests for files that need them; ``None`` refuses such files."""
    issuer_name: str = ""
    """The institution that hands in an upload without naming itself."""
    issuer_code: str = ""
    issuer_code_scheme: str = ""
    learner_type: str = RESIDENT_ID
    learner: str = ""
    """Identifier of the one learner who brings a foreign transcript."""
    format_name: str = ""
    """What a transcript must be; ``""`` takes any format that is recognised."""
    contexts: Path | None = None
    """Folder of JSON-LD contexts, by which signatures of credentials are checked."""
    context_pins: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: PINS)
    """Addresses of the contexts that count, by SHA-256 of their documents."""

    def __repr__(self) -> str:
        """Hide the learner."""
        return "ImportFacts(…)"


class Reading(NamedTuple):
    """What readers of files other than the record layout need besides the file."""

    scheme: Scheme
    facts: ImportFacts
    now: datetime
    """When the import began."""


class Derived(NamedTuple):
    """What :mod:`gateway.records.importing` makes of a row whose file has no record ids of its own."""

    prefix: str
    """Begins the record's id and names the layout."""
    record: tuple[str, ...]
    """What tells the achievement from others of the same learner."""
    part_of: tuple[str, ...] = ()
    """``record`` of the row that this one is a part of."""
    keyed: tuple[tuple[str, str], ...] = ()
    """Names and values of identifiers; only a keyed digest of each is kept, among the originals."""
    columns: Mapping[str, str] = MappingProxyType({})
    """The file's own name of a column of the record layout, for refusals."""


class Row(NamedTuple):
    """One achievement with the identifier of its learner, as the file states them."""

    line: int
    identifier_type: str
    identifier: str
    record: LocalRecord
    derived: Derived | None = None

    def __repr__(self) -> str:
        """Name the line only."""
        return f"Row(line={self.line})"


class Shape(Protocol):
    """How the fields of a table's row become a row of records."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the header."""

    def row(self, line: int, values: list[str]) -> Row | RefusedRow:
        """Return the row of ``values``, one a column; the list is used up."""
        ...


class RowShape:
    """How the fields of a file with these columns become a row."""

    def __init__(self, columns: Sequence[str]) -> None:
        place = {name: number for number, name in enumerate(columns)}
        nothing = len(columns)  # the place of "", which `row` appends
        self.columns = tuple(columns)
        self._texts = itemgetter(*(place.get(name, nothing) for name in TEXT_FIELDS))
        self._type = place.get(LEARNER_ID_TYPE, nothing)
        self._identifier = place[LEARNER_ID]
        self._originals = [
            (name.removeprefix(ORIGINAL_PREFIX), number)
            for name, number in place.items()
            if name.startswith(ORIGINAL_PREFIX)
        ]

    def row(self, line: int, values: list[str]) -> Row:
        """Return the row of ``values``, one a column; the list is used up."""
        values.append("")
        originals = tuple([(name, values[place]) for name, place in self._originals if values[place]])
        return Row(
            line,
            values[self._type] or RESIDENT_ID,
            values[self._identifier],
            make_record(*self._texts(values), originals),
        )


def is_column(name: str) -> bool:
    """Whether the layout has a column of this name."""
    if name.startswith(RESERVED_PREFIX):
        return False
    return name in _KNOWN or (name.startswith(ORIGINAL_PREFIX) and len(name) > len(ORIGINAL_PREFIX))


def unknown_column(name: str) -> str:
    """Say that the layout has no column ``name``, and which one may be meant."""
    if name.startswith(RESERVED_PREFIX):
        return f"column {shown_name(name)!r}: only the gateway says how a foreign transcript is read"
    near = difflib.get_close_matches(name.strip().lower(), COLUMNS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    shown = shown_name(name)
    return f"unknown column {shown!r}; {hint}To carry it as it is, call it {ORIGINAL_PREFIX}NAME"


def find_column_problems(names: Sequence[str]) -> list[str]:
    """Return everything that is wrong with a file's columns; nothing when all is well."""
    if not any(is_column(name) for name in names):
        # Nothing is repeated here: without a header, these are the values of somebody's record.
        return [_no_header(names)]
    problems = []
    seen: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name:
            problems.append(f"column {number} has no name")
        elif name in seen:
            problems.append(f"column {shown_name(name)!r} stands twice")
        elif not is_column(name):
            problems.append(unknown_column(name))
        seen.add(name)
    missing = [name for name in REQUIRED_COLUMNS if name not in seen]
    if missing:
        problems.append(f"missing column {', '.join(missing)}")
    if len(names) > COLUMNS_MAX:
        problems.append(f"{len(names)} columns; at most {COLUMNS_MAX} are read")
    return problems


def _no_header(names: Sequence[str]) -> str:
    for separator, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"), ("，", "full-width commas")):
        if len(names) == 1 and any(is_column(part) for part in names[0].split(separator)):
            return f"the columns are separated by {word}; separate them by commas"
    return "the first line is no header: it names no column of the layout"
