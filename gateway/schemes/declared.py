"""``scheme.toml`` as it is written: every table and key, with types and simple ranges (pydantic)."""

from __future__ import annotations

import difflib
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool

from gateway.schemes.ratio import AmountError, Mode, parse_amount, parse_ratio
from gateway.schemes.shared_words import (
    BANDS,
    CODE_LISTS,
    CONVERTIBILITIES,
    GRADE_STATUSES,
    HOUR_KINDS,
    KINDS,
    ROLES,
    STATES,
)

LEVEL_CODES: dict[str, tuple[str, ...]] = {
    "education": (
        "doctor",
        "master",
        "second-bachelor",
        "bachelor",
        "associate",
        "secondary-vocational",
        "senior-secondary",
        "junior-secondary",
        "primary",
    ),
    "degree": ("doctor", "master", "bachelor"),
    "skill": ("5", "4", "3", "2", "1"),
    "x-certificate": ("junior", "intermediate", "senior"),
    "qualification": tuple(
        f"{name}-{level}"
        for name, highest in (("ouc", 10), ("gd", 7), ("eqf", 8))
        for level in range(1, highest + 1)
    ),
}
"""Codes of the shared frameworks (record.proto, LevelFramework)."""


def _one_of(known: tuple[str, ...]) -> AfterValidator:
    def check(word: str) -> str:
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{word!r} is not one of: {', '.join(known)}{hint}")
        return word

    return AfterValidator(check)


def _amount(text: str) -> str:
    try:
        parse_amount(text)
    except AmountError as error:
        raise ValueError(str(error)) from error
    return text


def _ratio(text: str) -> str:
    try:
        parse_ratio(text)
    except AmountError as error:
        raise ValueError(str(error)) from error
    return text


Amount = Annotated[str, AfterValidator(_amount)]
Ratio = Annotated[str, AfterValidator(_ratio)]
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
Day = Annotated[date, Field(strict=True)]
Kind = Annotated[str, _one_of(KINDS.words)]
Band = Annotated[str, _one_of(BANDS.words)]
GradeStatus = Annotated[str, _one_of(GRADE_STATUSES.words)]
HourKind = Annotated[str, _one_of(HOUR_KINDS.words)]
ValueMark = Annotated[str, _one_of(("absent", "unknown", "withheld"))]
Names = Annotated[dict[str, str], Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SchemeTable(_Table):
    """``[scheme]``: which scheme this is."""

    id: Id
    """Id of the scheme; usually the province's node id."""
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
    """Version as the province counts it; raise it with every change."""
    names: Names
    """Names for people, by language tag."""
    official: StrictBool
    """Whether the province declares this scheme official."""
    note: str = ""
    """What a reader should know."""
    source: str = ""
    """The regulation that declares the scheme."""
    hour_kind: HourKind | None = None
    """Kind of hour in records that state hours without a kind. Without it such hours stay untranslated."""
    effective_from: Day
    """First day on which this version is in force. What depends on a record's date stands at credit_unit."""


class RoundingTable(_Table):
    """``[rounding]``: how results are rounded when a record is shown in this scheme."""

    step: Ratio
    """Results are multiples of this, for example "0.5"."""
    mode: Mode
    """floor, half_up or half_even. There is no default: the three differ."""
    stage: Literal["item", "sum"]
    """item: each value by itself. sum: values are shown exact, and only a sum is rounded."""


class NumberFormatTable(_Table):
    """``[number_format]``: what stands around numbers in records. Without it: nothing, plain digits only.

    Digits are ASCII, the decimal mark is a point; neither can be changed.
    """

    surrounding_blanks: StrictBool = False
    """Whether " 2.5 " is the number 2.5."""
    suffixes: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Words that may follow a number, for example "学分" so that "2.5学分" is 2.5."""


class CreditUnitTable(_Table):
    """``[[credit_unit]]``: one unit of credit and what it is worth in study hours."""

    id: Id
    """Id of the unit, for example "credit". May stand again with other dates."""
    names: Names
    """Names for people, by language tag."""
    words: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """What records call the unit, beside its id, for example "学分"."""
    kinds: tuple[Kind, ...]
    """Kinds of record that are counted in this unit when they name none."""
    study_hours: Ratio | None = None
    """Notional study hours of one unit, exact: "16" or "45/2". The pivot of every translation."""
    no_ratio: str = ""
    """Instead of study_hours: why this unit cannot be translated."""
    valid_from: Day | None = None
    """First day of the ratio; absent = since ever."""
    valid_until: Day | None = None
    """First day on which it no longer holds; absent = without end."""


class CreditFromHoursTable(_Table):
    """``[[credit_from_hours]]``: hours make credits when a record states hours and no credits."""

    unit: Id
    """The unit in which they count; it must have study_hours."""
    hour_kind: HourKind
    """Kind of hour: class, clock, week, notional."""
    hours: Ratio
    """So many of these hours make one credit, for example "2" (weeks) or "32" (class hours)."""


class BandEntry(_Table):
    """One band of a numeric scale: from its lower end up to, but not including, its upper end."""

    from_: Amount = Field(alias="from")
    """Lower end."""
    to: Amount
    """Upper end, not included unless it is the scale's maximum."""
    band: Band
    """The band on the shared scale."""
    percent_min: Amount | None = None
    """Lower end on the shared 0 to 100 scale; needed unless is_percentage."""
    percent_max: Amount | None = None
    """Upper end, not included unless it is 100."""


class FormulaEntry(_Table):
    """How a percentage that passes becomes a grade. Only where the province itself says so."""

    divide: Ratio
    """The percentage is divided by this, for example "10"."""
    subtract: Amount
    """Then this is subtracted, for example "5": 100 is 5.0 and 60 is 1.0."""


class LabelEntry(_Table):
    """One word of a scale of words."""

    word: str = Field(min_length=1)
    """The word."""
    status: GradeStatus
    """Whether it means passed."""
    band: Band | None = None
    """The band on the shared scale; absent for a scale that only tells passed from failed."""
    percent_min: Amount | None = None
    """Lower end on the shared 0 to 100 scale."""
    percent_max: Amount | None = None
    """Upper end, not included unless it is 100."""


class GradeScaleTable(_Table):
    """``[[grade_scale]]``: one scale. Grades are shown on the first scale that can take them."""

    id: Id
    """Id of the scale, for example "percentage"."""
    names: Names
    """Names for people, by language tag."""
    type: Literal["numeric", "labels"]
    """numeric: numbers and bands. labels: words."""
    min: Amount | None = None
    """Numeric: lowest grade."""
    max: Amount | None = None
    """Numeric: highest grade."""
    step: Ratio | None = None
    """Numeric: grades are multiples of this."""
    pass_: Amount | None = Field(default=None, alias="pass")
    """Numeric: lowest grade that passes."""
    is_percentage: StrictBool = False
    """Numeric: the scale is the shared 0 to 100 scale itself."""
    formula: FormulaEntry | None = None
    """Numeric: carries passed grades over exactly, both ways. Failed ones all become ``min``."""
    bands: tuple[BandEntry, ...] = ()
    """Numeric: the bands; together they cover the scale once."""
    labels: tuple[LabelEntry, ...] = ()
    """Labels: the words."""


class KindEntry(_Table):
    """What one of the province's kinds is in the shared model."""

    kind: Kind
    """The shared kind."""
    convertibility: Annotated[str, _one_of(CONVERTIBILITIES.words)]
    """Whether it may become academic credit: academic, vocational-listed, never."""


class LevelsTable(_Table):
    """``[levels.FRAMEWORK]``: the province's words for levels. Never carried over by equal number."""

    education: dict[str, Annotated[str, _one_of(LEVEL_CODES["education"])]] = {}
    """Education levels."""
    degree: dict[str, Annotated[str, _one_of(LEVEL_CODES["degree"])]] = {}
    """Degrees."""
    skill: dict[str, Annotated[str, _one_of(LEVEL_CODES["skill"])]] = {}
    """Vocational skill levels: 5 is the lowest, 1 the highest."""
    x_certificate: dict[str, Annotated[str, _one_of(LEVEL_CODES["x-certificate"])]] = Field(
        default={}, alias="x-certificate"
    )
    """Levels of 1+X certificates."""
    qualification: dict[str, Annotated[str, _one_of(LEVEL_CODES["qualification"])]] = {}
    """Levels of a qualifications framework, which the code names: ouc-4, gd-3, eqf-6."""


class CodeListTable(_Table):
    """``[[code_list]]``: the province's codes and the same in a list that other provinces know."""

    of: Annotated[str, _one_of(CODE_LISTS.words)]
    """institution, discipline or certificate."""
    local: Id | None = None
    """How records name it (issuer_code_scheme, field_scheme). Certificates have one list, without name."""
    shared: Id
    """The list in which the codes on the right stand, for example moe-school. Views pair lists by it."""
    codes: Annotated[dict[str, Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    """The province's code = the shared code. Several may mean the same; the first is shown."""
    successors: dict[str, str] = {}
    """The province's code = its code of today, after a renaming or merger. Old records keep theirs."""


class CountingTable(_Table):
    """``[counting]``: how the records of one learner count together. Without it repeats stay undecided."""

    repeats: Literal["best", "latest", "first"]
    """Which passed attempt at a course counts."""
    term_starts: tuple[Annotated[int, Field(strict=True, ge=1, le=12)], ...] = ()
    """Months in which a term begins, for caps by term, for example [2, 9]."""


class CapTable(_Table):
    """``[[cap]]``: at most so many credits count within a scope."""

    id: Id
    """Id of the cap, for example "one-certificate"."""
    names: Names
    """Names for people, by language tag."""
    unit: Id
    """The unit whose credits it limits; it must have study_hours."""
    kinds: tuple[Kind, ...]
    """Kinds of record that it limits together; empty = all."""
    scope: Literal["record", "issuer", "term", "year", "all"]
    """Within what: one record, one institution, one term, one calendar year, everything."""
    amount: Amount | None = None
    """Credits at most."""
    share: Ratio | None = None
    """Instead of amount: the share of ``of``, for example "1/2"."""
    of: Amount | None = None
    """Credits of the whole programme."""


class ReplacedCourseEntry(_Table):
    """One course for which a certificate may stand."""

    code: str = Field(min_length=1)
    """The course's code."""
    credits: Amount
    """What the course counts."""
    levels: tuple[Annotated[str, _one_of(LEVEL_CODES["x-certificate"])], ...] = ()
    """Levels of the certificate that may replace it; empty = every level."""


class ReplacementTable(_Table):
    """``[[replacement]]``: the courses for which a certificate may stand. It then counts as these only."""

    certificate: str = Field(min_length=1)
    """The certificate's code in the province's code_list of certificates."""
    unit: Id
    """The unit in which the courses count."""
    courses: Annotated[tuple[ReplacedCourseEntry, ...], Field(min_length=1)]
    """The courses."""


class SchemeFile(_Table):
    """``scheme.toml``: a province's own way to count credits, to grade, and to name levels."""

    scheme: SchemeTable
    rounding: RoundingTable
    number_format: NumberFormatTable = NumberFormatTable()
    credit_unit: tuple[CreditUnitTable, ...] = ()
    credit_from_hours: tuple[CreditFromHoursTable, ...] = ()
    grade_scale: tuple[GradeScaleTable, ...] = ()
    code_list: tuple[CodeListTable, ...] = ()
    counting: CountingTable | None = None
    cap: tuple[CapTable, ...] = ()
    replacement: tuple[ReplacementTable, ...] = ()
    grade_marks: dict[str, GradeStatus] = {}
    """Words that stand in place of a grade."""
    value_marks: dict[str, ValueMark] = {}
    """Words in place of credits, hours, a grade or a level: absent (there is none), unknown, withheld."""
    kinds: dict[str, KindEntry]
    """The province's words for kinds of record."""
    levels: LevelsTable = LevelsTable()
    status: dict[str, Annotated[str, _one_of(STATES.words)]] = {}
    """The province's words for the state of a record."""
    hour_kinds: dict[str, HourKind] = {}
    """The province's words for kinds of hour."""
    issuer_roles: dict[str, Annotated[str, _one_of(ROLES.words)]] = {}
    """The province's words for an institution's part."""
