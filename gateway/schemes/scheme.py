"""A scheme compiled for use: every look-up is one dictionary access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction

from creditexchange.v1.record_pb2 import LearningRecord, LocalView, RuleApplication, SchemeReference
from gateway.schemes.counting_rules import CountingRules
from gateway.schemes.dates import Days, days_of
from gateway.schemes.parts import Parts
from gateway.schemes.ratio import AmountError, NumberFormat, Rounding, parse_amount
from gateway.schemes.shared_words import CODE_LISTS

Names = Mapping[str, str]


class NoUnitError(LookupError):
    """No unit of credit can be told for a record; the text says why."""


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

    def holds_throughout(self, days: Days) -> bool:
        """Whether the ratio holds on every one of ``days``."""
        return (self.valid_from is None or self.valid_from <= days[0]) and (
            self.valid_until is None or days[1] < self.valid_until
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
    formula: tuple[Fraction, Fraction] | None
    """Divisor and subtrahend that make a grade of a percentage that passes."""
    bands: tuple[GradeBandRule, ...]
    """Numeric: by rising lower end."""
    labels: Mapping[str, GradeBandRule]
    """Labels: by word."""

    def holds_number(self, value: Fraction) -> bool:
        """Whether ``value`` is a grade of this numeric scale: within its ends and on its step."""
        return self.low <= value <= self.high and ((value - self.low) / self.step).denominator == 1

    def holds(self, word: str) -> bool:
        """Whether ``word`` is a grade of this scale."""
        if not self.is_numeric:
            return word in self.labels
        try:
            return self.holds_number(parse_amount(word))
        except AmountError:
            return False

    def percent_of(self, value: Fraction) -> Fraction | None:
        """Return the percentage that ``value`` is by the formula; ``None`` where it does not hold."""
        if self.formula is None or value < self.passing:
            return None
        divisor, subtrahend = self.formula
        return (value + subtrahend) * divisor

    def value_of(self, percent: Fraction) -> Fraction | None:
        """Return the passed grade that ``percent`` is by the formula, if it lies on the scale."""
        if self.formula is None:
            return None
        divisor, subtrahend = self.formula
        value = percent / divisor - subtrahend
        return value if value >= self.passing and self.holds_number(value) else None

    def band_of(self, value: Fraction) -> GradeBandRule:
        """Return the band of a value that the scale holds. Bands cover the scale once."""
        return next(
            band
            for band in self.bands
            if band.low <= value < band.high or (band.includes_high and value == band.high)
        )


@dataclass(frozen=True, slots=True)
class LevelRules:
    """The province's words in one framework, both ways."""

    framework: int
    name: str
    codes: Mapping[str, str]
    words: Mapping[str, str]
    """First declared word of each code."""


@dataclass(frozen=True, slots=True)
class CodeListRules:
    """One list of codes, both ways."""

    of: int
    local: str
    """How records name the list; the key of its table when they do not."""
    shared: str
    codes: Mapping[str, str]
    words: Mapping[str, str]
    """First declared code of each shared one."""
    successors: Mapping[str, str]

    @property
    def table(self) -> str:
        """Name of the table in a rule, for example ``code_list.institution.bank``."""
        return f"code_list.{CODE_LISTS.word(self.of)}{'.' if self.local else ''}{self.local}"


@dataclass(frozen=True)
class Scheme:
    """A loaded scheme. Made by :func:`gateway.schemes.load.load_scheme` only."""

    reference: SchemeReference
    names: Names
    note: str
    rounding: Rounding
    number_format: NumberFormat
    units: tuple[CreditUnit, ...]
    unit_places: Mapping[str, tuple[int, ...]]
    """Places in ``units`` by unit id."""
    unit_words: Mapping[str, str]
    """Unit id by what records call the unit."""
    unit_of_kind: Mapping[int, str]
    """Unit id by shared kind, for records that name no unit."""
    hours_a_credit: Mapping[tuple[str, int], Fraction]
    """Hours that make one credit, by unit id and kind of hour; only what is declared."""
    scales: Mapping[str, GradeScale]
    grade_marks: Mapping[str, int]
    grade_mark_words: Mapping[int, str]
    value_marks: Mapping[str, int]
    """Words in place of any value: absent, unknown or withheld."""
    kinds: Mapping[str, tuple[int, int]]
    """Shared kind and convertibility by local word."""
    kind_words: Mapping[int, str]
    levels: Mapping[str, LevelRules]
    """By the name of the framework: education, degree, skill, x-certificate."""
    levels_by_framework: Mapping[int, LevelRules]
    code_lists: Mapping[tuple[int, str], CodeListRules]
    """By what the codes stand for and the name that records give the list."""
    code_lists_by_shared: Mapping[tuple[int, str], CodeListRules]
    """By what the codes stand for and the shared list; the first that is declared."""
    status: Mapping[str, int]
    status_words: Mapping[int, str]
    hour_kinds: Mapping[str, int]
    plain_hour_kind: int
    """Kind of hours whose kind is not stated; 0 when that is not declared."""
    issuer_roles: Mapping[str, int]
    rounds_items: bool
    """Whether single values are rounded; else only sums are."""
    counting: CountingRules
    short_reference: SchemeReference
    """Id and version without the digest: what a step of a trace names."""
    shared_parts: Parts[LearningRecord] = field(default_factory=Parts, repr=False, compare=False)
    local_parts: Parts[LocalView] = field(default_factory=Parts, repr=False, compare=False)

    @property
    def scheme_id(self) -> str:
        """Id of the scheme."""
        return self.reference.scheme_id

    @property
    def title(self) -> str:
        """Name for people: the Chinese one if there is one, else the first."""
        return self.names.get("zh-Hans") or next(iter(self.names.values()))

    def rule(self, table: str, key: str) -> str:
        """Return the name of a rule as a trace states it."""
        return f"{self.reference.scheme_id}/{table}/{key}"

    def applied(
        self,
        path: str,
        original: str,
        result: str,
        rule: tuple[str, str],
        *,
        loss: int = 0,
        note: str = "",
        unrounded: str = "",
        rounding: str = "",
    ) -> RuleApplication:
        """Return one step of a trace; ``rule`` is table and key, an empty key means that none applies."""
        return RuleApplication(
            path=path,
            original=original,
            result=result,
            rule=self.rule(*rule),
            scheme=self.short_reference,
            loss=loss,  # type: ignore[arg-type]
            note=note,
            unrounded=unrounded,
            rounding=rounding,
        )

    def place_of_unit(self, unit_id: str, record: LearningRecord) -> int:
        """Return the place in ``units`` of the unit that counts ``record``.

        It is the one that ``unit_id`` is or means, or the one for the record's kind when none is named, with
        the ratio that held on every day that the record's award (else its end) can mean.

        Raises:
            NoUnitError: there is none, or it cannot be told which; never guessed.
        """
        name = self.unit_words.get(unit_id, unit_id) or self.unit_of_kind.get(record.kind, "")
        places = self.unit_places.get(name, ())
        if not places:
            raise NoUnitError("no unit of credit is declared for it")
        first = self.units[places[0]]
        if len(places) == 1 and first.valid_from is None and first.valid_until is None:
            return places[0]
        days = days_of(record.award_date) or days_of(record.end_date)
        if days is None:
            raise NoUnitError("the record has no date, and the unit's ratio depends on it")
        for place in places:
            if self.units[place].holds_throughout(days):
                return place
        raise NoUnitError("no single ratio of the unit holds for the record's date")
