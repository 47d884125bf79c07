"""What types cannot say about a scheme: bands, dates, words and ratios that contradict one another.

Every check takes the tables that are sound by themselves, by their place in the file, so that one
run finds these contradictions beside whatever else is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from gateway.schemes.counting_consistency import CountingTables, find_counting_contradictions
from gateway.schemes.declared import CodeListTable, CreditFromHoursTable, CreditUnitTable, KindEntry
from gateway.schemes.scale_consistency import ScalesByPlace, find_scale_contradictions
from gateway.schemes.source_lines import Location

Problem = tuple[Location, str]

WORD_TABLES = ("grade_marks", "value_marks", "status", "hour_kinds", "issuer_roles")
"""Tables whose keys are the province's words."""


@dataclass(frozen=True, slots=True)
class SoundTables:
    """What of a scheme file is right in itself."""

    units: Mapping[int, CreditUnitTable]
    unit_count: int
    """How many units the file has, sound or not."""
    unit_ids: frozenset[str]
    """Of all of them."""
    hour_rules: Mapping[int, CreditFromHoursTable]
    scales: ScalesByPlace
    code_lists: Mapping[int, CodeListTable]
    kinds: Mapping[str, KindEntry]
    words: Mapping[Location, Mapping[str, str]]
    """Words of each table: the WORD_TABLES and ``("levels", framework)``."""
    counting: CountingTables


def find_contradictions(tables: SoundTables) -> Iterator[Problem]:
    """Yield every contradiction: where it stands and what is wrong."""
    yield from _units(tables)
    yield from _spans(tables)
    yield from _hour_rules(tables)
    yield from find_scale_contradictions(tables.scales)
    yield from _code_lists(tables)
    yield from find_counting_contradictions(tables.counting)
    yield from _marks(tables)
    yield from _blanks(tables)
    for word, entry in tables.kinds.items():
        if entry.kind == "leisure" and entry.convertibility != "never":
            yield ("kinds", word, "convertibility"), 'leisure never becomes academic credit; write "never"'


def _units(tables: SoundTables) -> Iterator[Problem]:
    counted: dict[str, str] = {}
    named: dict[str, str] = {}
    for index, unit in tables.units.items():
        where: Location = ("credit_unit", index)
        if (unit.study_hours is None) == (not unit.no_ratio):
            yield (*where, "study_hours"), "give either study_hours, or no_ratio with the reason"
        for word in unit.words:
            other = named.setdefault(word, unit.id)
            if other != unit.id:
                yield (*where, "words"), f"{word!r} means unit {other!r} already"
            elif word in tables.unit_ids:
                yield (*where, "words"), f"{word!r} is the id of a unit"
        for kind in unit.kinds:
            other = counted.setdefault(kind, unit.id)
            if other != unit.id:
                yield (*where, "kinds"), f"{kind!r} is counted in unit {other!r} already"


def _spans(tables: SoundTables) -> Iterator[Problem]:
    """The spans of one unit follow each other without gap or overlap."""
    spans: dict[str, list[tuple[date, date, int]]] = {}
    for index, unit in tables.units.items():
        start, end = unit.valid_from or date.min, unit.valid_until or date.max
        if start >= end:
            yield ("credit_unit", index, "valid_until"), "it must come after valid_from"
        spans.setdefault(unit.id, []).append((start, end, index))
    if len(tables.units) < tables.unit_count:
        return  # a span that is missing here would look like a gap
    for unit_id, found in spans.items():
        for (_, end, _), (start, _, index) in itertools.pairwise(sorted(found)):
            if start < end:
                yield ("credit_unit", index, "valid_from"), f"the spans of unit {unit_id!r} overlap"
            elif start > end:
                yield ("credit_unit", index, "valid_from"), f"no ratio of unit {unit_id!r} holds from {end}"


def _hour_rules(tables: SoundTables) -> Iterator[Problem]:
    without_ratio = {unit.id for unit in tables.units.values() if unit.study_hours is None}
    seen: set[tuple[str, str]] = set()
    for index, rule in tables.hour_rules.items():
        where: Location = ("credit_from_hours", index)
        if rule.unit not in tables.unit_ids:
            known = ", ".join(sorted(tables.unit_ids))
            yield (*where, "unit"), f"there is no unit {rule.unit!r}; the scheme has: {known}"
        elif rule.unit in without_ratio:
            yield (*where, "unit"), f"unit {rule.unit!r} has no study_hours"
        if (rule.unit, rule.hour_kind) in seen:
            yield (*where, "hour_kind"), f"{rule.hour_kind!r} makes {rule.unit!r} by another rule already"
        seen.add((rule.unit, rule.hour_kind))


def _code_lists(tables: SoundTables) -> Iterator[Problem]:
    seen: set[tuple[str, str | None]] = set()
    for index, codes in tables.code_lists.items():
        where: Location = ("code_list", index)
        if (codes.of == "certificate") == (codes.local is not None):
            what = (
                "certificates have one list, without this key" if codes.local else "say how records name it"
            )
            yield (*where, "local"), what
        elif (codes.of, codes.local) in seen:
            yield (*where, "local"), f"there is a list of {codes.of} codes with this name already"
        seen.add((codes.of, codes.local))
        if codes.local == codes.shared:
            yield (*where, "shared"), "the shared list cannot be the province's own"
        for code, successor in codes.successors.items():
            place = (*where, "successors", code)
            if code not in codes.codes or successor not in codes.codes:
                dangling = code if code not in codes.codes else successor
                yield place, f"{dangling!r} is not among the codes of this list"
            elif code == successor:
                yield place, "a code does not succeed itself"


def _marks(tables: SoundTables) -> Iterator[Problem]:
    """A word must not be a mark and a grade or level at once."""
    grades = {label.word for scale in tables.scales.values() for label in scale.labels}
    levels = {word for where, words in tables.words.items() if where[0] == "levels" for word in words}
    grade_marks = tables.words.get(("grade_marks",), {})
    for word, status in grade_marks.items():
        if word in grades:
            yield ("grade_marks", word), "it is a word of a scale already"
        if status in ("passed", "failed"):
            yield ("grade_marks", word), "a mark is no grade; put it into a scale of words"
    for word in tables.words.get(("value_marks",), {}):
        for known, what in (
            (grades, "word of a scale"),
            (levels, "level"),
            (set(grade_marks), "grade mark"),
        ):
            if word in known:
                yield ("value_marks", word), f"it is a {what} already"


def _blanks(tables: SoundTables) -> Iterator[Problem]:
    """A word with blanks around it would never be met, or be met by accident."""
    places: list[tuple[Location, str]] = [(("kinds", word), word) for word in tables.kinds]
    places += [
        (("code_list", index, "codes", code), code)
        for index, codes in tables.code_lists.items()
        for code in codes.codes
    ]
    places += [((*where, word), word) for where, words in tables.words.items() for word in words]
    for where, word in places:
        if not word or word != word.strip():
            yield where, "the word is empty or has blanks around it"
