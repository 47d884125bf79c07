"""What types cannot say about a scheme: bands, dates, words and ratios that contradict one another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import date

from gateway.schemes.declared import CreditUnitTable, GradeScaleTable, LabelEntry, SchemeFile
from gateway.schemes.ratio import parse_amount, parse_ratio
from gateway.schemes.source_lines import Location

Problem = tuple[Location, str]


def find_contradictions(file: SchemeFile) -> Iterator[Problem]:
    """Yield every contradiction: where it stands and what is wrong."""
    yield from _credit_units(file.credit_unit)
    yield from _unique_scales(file.grade_scale)
    for index, scale in enumerate(file.grade_scale):
        where: Location = ("grade_scale", index)
        yield from _numeric(scale, where) if scale.type == "numeric" else _labels(scale, where)
    yield from _marks(file)
    if not file.kinds:
        yield ("kinds",), "at least one kind is needed"


def _credit_units(units: Sequence[CreditUnitTable]) -> Iterator[Problem]:
    spans: dict[str, list[tuple[date, date, int]]] = {}
    kinds: dict[str, tuple[str, int]] = {}
    for index, unit in enumerate(units):
        where: Location = ("credit_unit", index)
        if (unit.study_hours is None) == (not unit.no_ratio):
            yield (*where, "study_hours"), "give either study_hours, or no_ratio with the reason"
        start, end = unit.valid_from or date.min, unit.valid_until or date.max
        if start >= end:
            yield (*where, "valid_until"), "it must come after valid_from"
        spans.setdefault(unit.id, []).append((start, end, index))
        for kind in unit.kinds:
            other = kinds.setdefault(kind, (unit.id, index))
            if other[0] != unit.id:
                yield (*where, "kinds"), f"{kind!r} is counted in unit {other[0]!r} already"
    for unit_id, found in spans.items():
        ordered = sorted(found)
        for (_, end, _), (start, _, index) in itertools.pairwise(ordered):
            if start < end:
                yield ("credit_unit", index, "valid_from"), f"the spans of unit {unit_id!r} overlap"
            elif start > end:
                yield ("credit_unit", index, "valid_from"), f"no ratio of unit {unit_id!r} holds from {end}"


def _unique_scales(scales: Sequence[GradeScaleTable]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, scale in enumerate(scales):
        if scale.id in seen:
            yield ("grade_scale", index, "id"), f"there are two scales {scale.id!r}"
        seen.add(scale.id)


def _numeric(scale: GradeScaleTable, where: Location) -> Iterator[Problem]:
    if scale.labels:
        yield (*where, "labels"), "a numeric scale has bands, not labels"
    missing = [
        name
        for name, value in (
            ("min", scale.min),
            ("max", scale.max),
            ("step", scale.step),
            ("pass", scale.pass_),
        )
        if value is None
    ]
    for name in missing:
        yield (*where, name), "a numeric scale needs it"
    if missing:
        return
    low, high = parse_amount(scale.min or ""), parse_amount(scale.max or "")
    passing, step = parse_amount(scale.pass_ or ""), parse_ratio(scale.step or "")
    if low >= high:
        yield (*where, "max"), "it must be above min"
        return
    if ((high - low) / step).denominator != 1:
        yield (*where, "step"), "max is no whole number of steps above min"
    if not low <= passing <= high:
        yield (*where, "pass"), "it lies outside the scale"
    if scale.is_percentage and (low != 0 or high != 100):
        yield (*where, "is_percentage"), "only a scale from 0 to 100 is the shared one"
    yield from _bands(scale, where)


def _bands(scale: GradeScaleTable, where: Location) -> Iterator[Problem]:
    """Bands must cover the scale once, without gap or overlap, and no band may straddle ``pass``."""
    if not scale.bands:
        yield (*where, "bands"), "a numeric scale needs bands"
        return
    low, high = parse_amount(scale.min or ""), parse_amount(scale.max or "")
    passing = parse_amount(scale.pass_ or "")
    ordered = sorted(
        (parse_amount(band.from_), parse_amount(band.to), index) for index, band in enumerate(scale.bands)
    )
    for start, end, index in ordered:
        place = (*where, "bands", index)
        if start >= end:
            yield place, "its upper end must be above its lower end"
        if start < low or end > high:
            yield place, "it lies outside the scale"
        if start < passing < end:
            yield place, "it holds grades that pass and grades that fail"
        yield from _percent(scale.bands[index], place, is_needed=not scale.is_percentage)
    if ordered[0][0] > low:
        yield (*where, "bands", ordered[0][2]), f"no band holds grades from {scale.min}"
    if ordered[-1][1] < high:
        yield (*where, "bands", ordered[-1][2]), f"no band holds grades up to {scale.max}"
    for (_, end, _), (start, _, index) in itertools.pairwise(ordered):
        place = (*where, "bands", index)
        if start < end:
            yield place, "it overlaps the band below"
        elif start > end:
            yield place, "there is a gap to the band below"


def _labels(scale: GradeScaleTable, where: Location) -> Iterator[Problem]:
    if scale.bands or scale.min is not None or scale.max is not None:
        yield (*where, "bands"), "a scale of words has labels, not bands or ends"
    if not scale.labels:
        yield (*where, "labels"), "a scale of words needs labels"
    seen: dict[str, int] = {}
    for index, label in enumerate(scale.labels):
        if label.word in seen:
            yield (*where, "labels", index), f"{label.word!r} stands twice"
        seen[label.word] = index
        yield from _percent(label, (*where, "labels", index), is_needed=False)
    yield from _label_overlaps(scale.labels, where)


def _label_overlaps(labels: Sequence[LabelEntry], where: Location) -> Iterator[Problem]:
    ordered = sorted(
        (parse_amount(label.percent_min), parse_amount(label.percent_max), index)
        for index, label in enumerate(labels)
        if label.percent_min is not None and label.percent_max is not None
    )
    for (_, end, _), (start, _, index) in itertools.pairwise(ordered):
        if start < end:
            yield (*where, "labels", index), "its interval overlaps the one below"


def _percent(entry: object, where: Location, *, is_needed: bool) -> Iterator[Problem]:
    low, high = getattr(entry, "percent_min", None), getattr(entry, "percent_max", None)
    if (low is None) != (high is None):
        yield where, "percent_min and percent_max stand together"
    elif low is None and is_needed:
        yield where, "percent_min and percent_max are needed: the scale is not the shared one"
    elif low is not None and not 0 <= parse_amount(low) < parse_amount(high or "") <= 100:
        yield where, "percent_min and percent_max must rise within 0 to 100"


def _marks(file: SchemeFile) -> Iterator[Problem]:
    """A word must not be a mark and a grade at once."""
    grades = {label.word for scale in file.grade_scale for label in scale.labels}
    for word, status in file.grade_marks.items():
        if word in grades:
            yield ("grade_marks", word), "it is a word of a scale already"
        if status in ("passed", "failed"):
            yield ("grade_marks", word), "a mark is no grade; put it into a scale of words"
