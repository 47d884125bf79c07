"""Caps and replacements: units and certificates that are there, amounts that can be reached."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from gateway.schemes.counting_rules import amount_of
from gateway.schemes.declared import CapTable, CountingTable, ReplacementTable
from gateway.schemes.ratio import parse_amount, parse_ratio
from gateway.schemes.source_lines import Location

Problem = tuple[Location, str]


@dataclass(frozen=True, slots=True)
class CountingTables:
    """What of the counting tables is right in itself, and what they may refer to."""

    counting: CountingTable | None
    caps: Mapping[int, CapTable]
    replacements: Mapping[int, ReplacementTable]
    unit_ids: frozenset[str]
    units_without_ratio: frozenset[str]
    certificates: frozenset[str] | None
    """Codes of the province's list of certificates; ``None`` when it has none."""
    step: Fraction | None
    """Step to which single values are rounded; ``None`` when only sums are, or it is not known."""


def find_counting_contradictions(tables: CountingTables) -> Iterator[Problem]:
    """Yield every contradiction: where it stands and what is wrong."""
    starts = tables.counting.term_starts if tables.counting is not None else ()
    if any(earlier >= later for earlier, later in itertools.pairwise(starts)):
        yield ("counting", "term_starts"), "write rising months"
    seen: set[str] = set()
    for index, cap in tables.caps.items():
        where: Location = ("cap", index)
        if cap.id in seen:
            yield (*where, "id"), f"there are two caps {cap.id!r}"
        seen.add(cap.id)
        yield from _unit(tables, where, cap.unit)
        yield from _amount(tables, where, cap)
        if cap.scope == "term" and not starts:
            yield (*where, "scope"), "a cap by term needs term_starts in [counting]"
    yield from _replacements(tables)


def _unit(tables: CountingTables, where: Location, unit: str) -> Iterator[Problem]:
    if unit not in tables.unit_ids:
        known = ", ".join(sorted(tables.unit_ids))
        yield (*where, "unit"), f"there is no unit {unit!r}; the scheme has: {known}"
    elif unit in tables.units_without_ratio:
        yield (*where, "unit"), f"unit {unit!r} has no study_hours"


def _amount(tables: CountingTables, where: Location, cap: CapTable) -> Iterator[Problem]:
    if (cap.amount is None) == (cap.share is None) or (cap.share is None) != (cap.of is None):
        yield (*where, "amount"), "give either amount, or share and of"
        return
    if cap.share is not None and parse_ratio(cap.share) > 1:
        yield (*where, "share"), "a share is at most 1"
    amount = amount_of(cap)
    if amount == 0:
        yield (*where, "amount"), "a cap of 0 counts nothing; gate the kind by its convertibility"
    elif tables.step is not None and (amount / tables.step).denominator != 1:
        yield (*where, "amount"), "it is no whole number of rounding steps, so it can never be reached"


def _replacements(tables: CountingTables) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, table in tables.replacements.items():
        where: Location = ("replacement", index)
        if table.certificate in seen:
            yield (*where, "certificate"), f"{table.certificate!r} is mapped twice"
        seen.add(table.certificate)
        if table.certificate not in (tables.certificates or ()):
            yield (*where, "certificate"), f"{table.certificate!r} is in no code_list of certificates"
        yield from _unit(tables, where, table.unit)
        codes: set[str] = set()
        for place, course in enumerate(table.courses):
            if course.code in codes:
                yield (*where, "courses", place), f"course {course.code!r} stands twice"
            codes.add(course.code)
            if parse_amount(course.credits) == 0:
                yield (*where, "courses", place), "a replaced course has more than 0 credits"
