"""A scheme compiled for use: every look-up is one dictionary access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cached_property

from creditexchange.v1.record_pb2 import PartialDate, SchemeReference
from gateway.schemes.ratio import Rounding

Names = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CreditUnit:
    """One unit of credit during one span of time."""

    unit_id: str
    names: Names
    kinds: frozenset[int]
    study_hours: Fraction | None
    """Notional study hours of one unit; ``None`` when it has no ratio."""
    no_ratio: str
    valid_from: date | None
    valid_until: date | None

    def holds_on(self, when: date) -> bool:
        """Whether the ratio holds on ``when``."""
        return (self.valid_from is None or self.valid_from <= when) and (
            self.valid_until is None or when < self.valid_until
        )


@dataclass(frozen=True, slots=True)
class GradeBandRule:
    """One band of a numeric scale, or one word of a scale of words."""

    name: str
    """The word, or ``from-to``."""
    low: Fraction
    high: Fraction
    includes_high: bool
    band: int
    status: int
    percent: tuple[Fraction, Fraction] | None
    """Interval on the shared scale; the upper end is not included unless it is 100."""


@dataclass(frozen=True, slots=True)
class GradeScale:
    """One scale of grades."""

    scale_id: str
    names: Names
    is_numeric: bool
    is_percentage: bool
    low: Fraction
    high: Fraction
    step: Fraction
    passing: Fraction
    bands: tuple[GradeBandRule, ...]
    """Numeric: by rising lower end."""
    labels: Mapping[str, GradeBandRule]
    """Labels: by word."""


@dataclass(frozen=True, slots=True)
class LevelRules:
    """The province's words in one framework, both ways."""

    framework: int
    name: str
    codes: Mapping[str, str]
    words: Mapping[str, str]
    """First declared word of each code."""


@dataclass(frozen=True)
class Scheme:
    """A loaded scheme. Made by :func:`gateway.schemes.load.load_scheme` only."""

    reference: SchemeReference
    names: Names
    note: str
    rounding: Rounding
    units: tuple[CreditUnit, ...]
    scales: Mapping[str, GradeScale]
    grade_marks: Mapping[str, int]
    kinds: Mapping[str, tuple[int, int]]
    """Shared kind and convertibility by local word."""
    kind_words: Mapping[int, str]
    levels: Mapping[str, LevelRules]
    """By the name of the framework: education, degree, skill, x-certificate."""
    status: Mapping[str, int]
    status_words: Mapping[int, str]
    hour_kinds: Mapping[str, int]
    issuer_roles: Mapping[str, int]

    @cached_property
    def short_reference(self) -> SchemeReference:
        """Id and version without the digest: what a step of a trace names."""
        reference = self.reference
        return SchemeReference(
            scheme_id=reference.scheme_id, version=reference.version, official=reference.official
        )

    @property
    def scheme_id(self) -> str:
        """Id of the scheme."""
        return self.reference.scheme_id

    def rule(self, table: str, key: str) -> str:
        """Return the name of a rule as a trace states it."""
        return f"{self.reference.scheme_id}/{table}/{key}"

    def unit_for(self, unit_id: str, kind: int, when: date) -> CreditUnit | None:
        """Return the unit named ``unit_id``, or the one for ``kind`` when none is named, as of ``when``."""
        for unit in self.units:
            named = unit.unit_id == unit_id if unit_id else kind in unit.kinds
            if named and unit.holds_on(when):
                return unit
        return None


def first_day(date_: PartialDate) -> date | None:
    """Return the first day that a date of lesser precision can mean; ``None`` when it states nothing."""
    if not date_.year:
        return None
    return date(date_.year, date_.month or 1, date_.day or 1)
