"""Tell an invented life in a province's own words, which are read from its scheme.toml.

Reading the scheme instead of repeating its words keeps both true: every word of a record is one that the
scheme knows, and a scheme that changes its words shows at once as record files that differ.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zlib import crc32

import example_words as words
from example_lives import Achievement, Learner

Row = dict[str, str]

COLUMNS = (
    "learner_id_type",
    "learner_id",
    "record_id",
    "kind",
    "title",
    "title_en",
    "holder_name",
    "issuer_name",
    "issuer_code",
    "issuer_code_scheme",
    "issuer_role",
    "issuer_region",
    "course_code",
    "catalogue_version",
    "field_scheme",
    "field_code",
    "credits",
    "credit_unit",
    "hours",
    "hour_kind",
    "grade",
    "grade_scale",
    "attempt",
    "education_level",
    "degree_level",
    "skill_level",
    "x_level",
    "start_date",
    "end_date",
    "award_date",
    "certificate_number",
    "certificate_code",
    "expire_date",
    "status",
    "status_since",
    "superseded_by",
    "part_of",
    "original.education_code",
    "original.season",
)
"""Columns of the record layout (docs/records.md), in its order."""

EDUCATION_CODES = {"master": "14", "bachelor": "21", "associate": "31", "secondary-vocational": "41"}
"""GB/T 4658, "graduated" (毕业)."""

GRADED_BY: dict[str, tuple[str, ...]] = {
    "shanghai": ("percentage", "percentage", "percentage", "five-level"),
    "jiangsu": ("five-level", "five-level", "percentage"),
    "zhejiang": ("percentage", "percentage", "percentage", "percentage", "five-level"),
    "anhui": ("percentage", "grade-point-4"),
}
"""Scales on which a province's courses are graded, by turns."""

TITLE_EN_KINDS = frozenset({"course", "skill-level", "x-certificate"})
"""Kinds whose English title a record bears."""


@dataclass(frozen=True)
class Dialect:
    """A province's words, by what they mean in the shared model."""

    province: str
    kinds: Mapping[str, str]
    states: Mapping[str, str]
    levels: Mapping[str, Mapping[str, str]]
    hour_kinds: Mapping[str, str]
    roles: Mapping[str, str]
    marks: Mapping[str, str]
    scales: Mapping[str, Mapping[str, Any]]
    hours_a_credit: Decimal

    @classmethod
    def read(cls, province: str, folder: Path) -> Dialect:
        """Read the words from ``folder``/scheme.toml; of several words for one thing the first counts."""
        scheme = tomllib.loads((folder / "scheme.toml").read_text(encoding="utf-8"))
        units = {unit["id"]: unit for unit in scheme["credit_unit"]}
        return cls(
            province=province,
            kinds=_inverse({word: entry["kind"] for word, entry in scheme["kinds"].items()}),
            states=_inverse(scheme["status"]),
            levels={framework: _inverse(table) for framework, table in scheme["levels"].items()},
            hour_kinds=_inverse(scheme["hour_kinds"]),
            roles=_inverse(scheme["issuer_roles"]),
            marks=_inverse(scheme["grade_marks"]),
            scales={scale["id"]: scale for scale in scheme["grade_scale"]},
            hours_a_credit=Decimal(units["credit"]["study_hours"]),
        )

    def grade(self, achievement: Achievement) -> tuple[str, str]:
        """Return the grade in the province's words and the scale it is on."""
        mark = achievement.mark
        if mark in self.marks:
            return self.marks[mark], ""
        if mark in {"", "pass"}:
            return (_label(self.scales["two-level"], Decimal(100)), "two-level") if mark else ("", "")
        choices = GRADED_BY[self.province] if achievement.kind == "course" else ("percentage",)
        turn = crc32(f"{achievement.title}{achievement.award}{mark}".encode())
        scale = choices[turn % len(choices)]
        if self.scales[scale]["type"] == "labels":
            return _label(self.scales[scale], Decimal(mark)), scale
        return _number(self.scales[scale], Decimal(mark)), scale

    def credit(self, achievement: Achievement) -> tuple[str, str]:
        """Return the credits, in steps of a half, and their unit."""
        if achievement.kind == "leisure":
            return str(achievement.hours), "point"
        if achievement.kind == "experience":
            return str(achievement.hours), "practice-credit"
        if not achievement.credit_bearing:
            return "", ""
        halves = (2 * achievement.hours / self.hours_a_credit).to_integral_value(ROUND_HALF_UP)
        return _plain(halves / 2), "credit"


def local_rows(
    dialect: Dialect, learners: Iterable[Learner], catalogue: Mapping[str, str]
) -> list[tuple[str, Row]]:
    """Return the rows that the province keeps, each with its kind in the shared model."""
    kept = [
        (learner, achievement)
        for learner in learners
        for achievement in learner.achievements.get(dialect.province, [])
    ]
    prefix = PREFIXES[dialect.province]
    ids = {id(achievement): f"{prefix}{1000 + place}" for place, (_, achievement) in enumerate(kept, 1)}
    return [
        (achievement.kind, _row(dialect, learner, achievement, ids, catalogue))
        for learner, achievement in kept
    ]


PREFIXES = {"shanghai": "SH", "jiangsu": "JS", "zhejiang": "ZJ", "anhui": "AH"}
"""Start of the record ids of each province."""


def _row(
    dialect: Dialect,
    learner: Learner,
    made: Achievement,
    ids: Mapping[int, str],
    catalogue: Mapping[str, str],
) -> Row:
    row = dict.fromkeys(COLUMNS, "")
    credits_, unit = dialect.credit(made)
    grade, scale = dialect.grade(made)
    row |= {
        "learner_id_type": "resident-id",
        "learner_id": learner.identifier,
        "record_id": ids[id(made)],
        "kind": dialect.kinds[made.kind],
        "title": made.title,
        "title_en": made.english if made.kind in TITLE_EN_KINDS else "",
        "holder_name": made.holder_name or learner.name,
        "course_code": made.course_code,
        "catalogue_version": made.catalogue_version,
        "credits": credits_,
        "credit_unit": unit,
        "hours": str(made.hours) if made.hours and made.hours_stated else "",
        "hour_kind": dialect.hour_kinds[made.hour_kind] if made.hours and made.hours_stated else "",
        "grade": grade,
        "grade_scale": scale,
        "attempt": str(made.attempt) if made.attempt else "",
        "start_date": made.start,
        "end_date": made.end,
        "award_date": made.award,
        "certificate_number": made.number,
        "certificate_code": catalogue.get(made.catalogue_title, ""),
        "expire_date": made.expires,
        "status": dialect.states[made.state],
        "status_since": made.state_since,
        "superseded_by": ids[id(made.superseded_by)] if made.superseded_by else "",
        "part_of": ids[id(made.part_of)] if made.part_of else "",
    }
    row |= _levels(dialect, made)
    row |= _issuer(dialect, made)
    return row


def _levels(dialect: Dialect, made: Achievement) -> Row:
    row: Row = {}
    if made.education:
        row["education_level"] = dialect.levels["education"][made.education]
    if made.degree:
        row["degree_level"] = dialect.levels["degree"][made.degree]
    if made.skill:
        row["skill_level"] = dialect.levels["skill"][str(made.skill)]
    if made.x_level:
        row["x_level"] = dialect.levels["x-certificate"][made.x_level]
    if made.field_code:
        row["field_scheme"] = "gb-t-6864" if made.degree else "major-catalogue"
        row["field_code"] = made.field_code
    if dialect.province == "shanghai" and made.education:
        # Members of the bank's own format that the shared model has no place for.
        row["original.education_code"] = EDUCATION_CODES[made.education]
        row["original.season"] = "50" if made.award[5:7] <= "06" else "51"
    return row


def _issuer(dialect: Dialect, made: Achievement) -> Row:
    assert made.body is not None
    return {
        "issuer_name": made.body.name,
        "issuer_code": made.body.code,
        "issuer_code_scheme": made.body.code_scheme,
        "issuer_role": dialect.roles[made.body.role],
        "issuer_region": made.body.region,
    }


def _inverse(table: Mapping[str, str]) -> dict[str, str]:
    inverse: dict[str, str] = {}
    for word, meaning in table.items():
        inverse.setdefault(meaning, word)
    return inverse


def _label(scale: Mapping[str, Any], percent: Decimal) -> str:
    """Return the label of ``scale`` for a percentage; on two labels, passed or not."""
    for label in scale["labels"]:
        if percent >= Decimal(label.get("percent_min", "60" if label["status"] == "passed" else "0")):
            return str(label["word"])
    raise ValueError(f"no label for {percent}")


def _number(scale: Mapping[str, Any], percent: Decimal) -> str:
    """Return the number on ``scale`` for a percentage: within its band in proportion, floored to a step."""
    step = Decimal(scale["step"])
    for band in scale["bands"]:
        low, high = Decimal(band["from"]), Decimal(band["to"])
        floor = Decimal(band.get("percent_min", band["from"]))
        if percent >= floor:
            ceiling = (
                Decimal(band["percent_max"]).to_integral_value(ROUND_HALF_UP)
                if "percent_max" in band
                else high
            )
            value = low + (percent - floor) * (high - low) / (ceiling - floor)
            return _plain((value / step).to_integral_value(ROUND_FLOOR) * step)
    raise ValueError(f"no band for {percent}")


def _plain(number: Decimal) -> str:
    """Return ``number`` without trailing zeros or exponent."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


DIALECTS = {
    province: Dialect.read(province, Path(__file__).resolve().parent / province)
    for province in words.PROVINCES
}
