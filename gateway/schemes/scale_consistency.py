"""Grade scales: bands that cover the scale once and rise, words that do not overlap, passed above failed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from gateway.schemes.declared import BandEntry, GradeScaleTable, LabelEntry
from gateway.schemes.ratio import exact_text, parse_amount, parse_ratio
from gateway.schemes.shared_words import BANDS
from gateway.schemes.source_lines import Location

Problem = tuple[Location, str]
ScalesByPlace = Mapping[int, GradeScaleTable]

_RANKS = {word: rank for rank, word in enumerate(reversed(BANDS.words))}
"""Shared bands by rising rank: fail is 0."""


def find_scale_contradictions(scales: ScalesByPlace) -> Iterator[Problem]:
    """Yield every contradiction in and between scales: where it stands and what is wrong."""
    seen: set[str] = set()
    for index, scale in scales.items():
        where: Location = ("grade_scale", index)
        if scale.id in seen:
            yield (*where, "id"), f"there are two scales {scale.id!r}"
        seen.add(scale.id)
        yield from _numeric(scale, where) if scale.type == "numeric" else _labels(scale, where)


def _numeric(scale: GradeScaleTable, where: Location) -> Iterator[Problem]:
    if scale.labels:
        yield (*where, "labels"), "a numeric scale has bands, not labels"
    ends = {"min": scale.min, "max": scale.max, "step": scale.step, "pass": scale.pass_}
    missing = [name for name, value in ends.items() if value is None]
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
    if not scale.bands:
        yield (*where, "bands"), "a numeric scale needs bands"
        return
    ordered = sorted(
        (parse_amount(band.from_), parse_amount(band.to), index) for index, band in enumerate(scale.bands)
    )
    yield from _cover(scale, where, ordered)
    yield from _formula(scale, where)
    yield from _rise(scale, where, ordered)


def _cover(
    scale: GradeScaleTable, where: Location, ordered: Sequence[tuple[Fraction, Fraction, int]]
) -> Iterator[Problem]:
    """Bands cover the scale once, without gap or overlap, and no band straddles ``pass``."""
    low, high = parse_amount(scale.min or ""), parse_amount(scale.max or "")
    passing = parse_amount(scale.pass_ or "")
    for start, end, index in ordered:
        place, band = (*where, "bands", index), scale.bands[index]
        if start >= end:
            yield place, "its upper end must be above its lower end"
        if start < low or end > high:
            yield place, "it lies outside the scale"
        if start < passing < end:
            yield place, "it holds grades that pass and grades that fail"
        elif (band.band == "fail") == (start >= passing):
            yield place, f"band {band.band!r} contradicts pass = {scale.pass_}"
        yield from _percent(band, place, is_needed=not scale.is_percentage)
    if ordered[0][0] > low:
        yield (*where, "bands", ordered[0][2]), f"no band holds grades from {scale.min}"
    if ordered[-1][1] < high:
        yield (*where, "bands", ordered[-1][2]), f"no band holds grades up to {scale.max}"
    for (_, end, _), (start, _, index) in itertools.pairwise(ordered):
        if start < end:
            yield (*where, "bands", index), "it overlaps the band below"
        elif start > end:
            yield (*where, "bands", index), "there is a gap to the band below"


def _formula(scale: GradeScaleTable, where: Location) -> Iterator[Problem]:
    """The formula agrees with the intervals of the bands that pass."""
    if scale.formula is None:
        return
    if scale.is_percentage:
        yield (*where, "formula"), "the scale is the shared one; leave the formula out"
        return
    divisor, subtrahend = parse_ratio(scale.formula.divide), parse_amount(scale.formula.subtract)
    for index, band in enumerate(scale.bands):
        if band.band == "fail" or band.percent_min is None or band.percent_max is None:
            continue
        for end, percent in ((band.from_, band.percent_min), (band.to, band.percent_max)):
            made = (parse_amount(end) + subtrahend) * divisor
            if made != parse_amount(percent):
                what = f"the formula makes {exact_text(made)} percent of {end}, the band says {percent}"
                yield (*where, "bands", index), what


def _rise(
    scale: GradeScaleTable, where: Location, ordered: Sequence[tuple[Fraction, Fraction, int]]
) -> Iterator[Problem]:
    """A higher grade never means less on the shared scale."""
    for (_, _, below), (_, _, index) in itertools.pairwise(ordered):
        lower, upper = scale.bands[below], scale.bands[index]
        if _RANKS[upper.band] < _RANKS[lower.band]:
            yield (*where, "bands", index), f"it is {upper.band!r}, less than the band below"
        if scale.is_percentage or not (lower.percent_max and upper.percent_min):
            continue
        if parse_amount(upper.percent_min) < parse_amount(lower.percent_max):
            yield (*where, "bands", index), "its percent interval overlaps that of the band below"


def _labels(scale: GradeScaleTable, where: Location) -> Iterator[Problem]:
    for key, value in (
        ("bands", scale.bands),
        ("formula", scale.formula),
        ("min", scale.min),
        ("max", scale.max),
        ("step", scale.step),
    ):
        if value:
            yield (*where, key), "a scale of words has labels, not bands, ends or steps"
    if scale.pass_ is not None:
        yield (*where, "pass"), "a scale of words tells passed from failed by each word's status"
    if scale.is_percentage:
        yield (*where, "is_percentage"), "only a numeric scale can be the shared one"
    if not scale.labels:
        yield (*where, "labels"), "a scale of words needs labels"
    seen: set[str] = set()
    for index, label in enumerate(scale.labels):
        place = (*where, "labels", index)
        if label.word in seen:
            yield place, f"{label.word!r} stands twice"
        seen.add(label.word)
        if label.status not in ("passed", "failed"):
            yield place, f"{label.status!r} is no grade; put the word into [grade_marks]"
        elif label.band is not None and (label.band == "fail") == (label.status == "passed"):
            yield place, f"band {label.band!r} contradicts status {label.status!r}"
        yield from _percent(label, place, is_needed=False)
    yield from _label_intervals(scale.labels, where)


def _label_intervals(labels: Sequence[LabelEntry], where: Location) -> Iterator[Problem]:
    ordered = sorted(
        (parse_amount(label.percent_min), parse_amount(label.percent_max), index)
        for index, label in enumerate(labels)
        if label.percent_min is not None and label.percent_max is not None
    )
    for (_, end, below), (start, _, index) in itertools.pairwise(ordered):
        place, lower, upper = (*where, "labels", index), labels[below], labels[index]
        if start < end:
            yield place, "its interval overlaps the one below"
        elif start > end:
            yield place, "there is a gap to the interval below"
        if upper.status == "failed" and lower.status == "passed":
            yield place, "it failed, although the word below passed"
        if upper.band and lower.band and _RANKS[upper.band] < _RANKS[lower.band]:
            yield place, f"it is {upper.band!r}, less than the word below"


def _percent(entry: BandEntry | LabelEntry, where: Location, *, is_needed: bool) -> Iterator[Problem]:
    low, high = entry.percent_min, entry.percent_max
    if (low is None) != (high is None):
        yield where, "percent_min and percent_max stand together"
    elif low is None or high is None:
        if is_needed:
            yield where, "percent_min and percent_max are needed: the scale is not the shared one"
    elif not 0 <= parse_amount(low) < parse_amount(high) <= 100:
        yield where, "percent_min and percent_max must rise within 0 to 100"
    elif not is_needed and isinstance(entry, BandEntry):
        yield where, "the scale is the shared one; leave percent_min and percent_max out"
