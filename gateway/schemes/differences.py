"""Where two schemes differ, rule by rule."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from gateway.schemes.ratio import exact_text
from gateway.schemes.scheme import CodeListRules, CreditUnit, GradeScale, Scheme
from gateway.schemes.shared_words import GRADE_STATUSES, HOUR_KINDS, KINDS, STATES, SharedWords

NOTHING = "–"
"""What stands where one scheme has no such rule."""
DIGEST_CHARACTERS = 8
"""Long lists are compared by their digest."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One rule that is not the same."""

    table: str
    key: str
    first: str
    second: str


def find_differences(first: Scheme, second: Scheme) -> list[Difference]:
    """Return every rule in which the two differ, in the order of the tables of a scheme file.

    Rules are compared by what they mean: scales by their bands, words by what they stand for. That
    two provinces use different words for the same is a difference, for a reader sees it.
    """
    tables = zip(_rules(first), _rules(second), strict=True)
    return [
        Difference(name, key, here.get(key, NOTHING), there.get(key, NOTHING))
        for (name, here), (_, there) in tables
        for key in dict.fromkeys(itertools.chain(here, there))
        if here.get(key) != there.get(key)
    ]


def _rules(scheme: Scheme) -> list[tuple[str, Mapping[str, str]]]:
    """Return every rule of a scheme as text, by table and key; the tables are the same for all."""
    return [
        ("rounding", {"step and mode": scheme.rounding.text}),
        ("number_format", {"accepted around a number": _format(scheme)}),
        ("credit_unit", _units(scheme)),
        (
            "credit_from_hours",
            {
                f"{unit}, {HOUR_KINDS.word(kind)}": exact_text(hours)
                for (unit, kind), hours in scheme.hours_a_credit.items()
            },
        ),
        ("grade_scale", {scale.scale_id: _scale(scale) for scale in scheme.scales.values()}),
        ("grade_marks", _named(scheme.grade_marks, GRADE_STATUSES)),
        ("kinds", _named({word: kind for word, (kind, _) in scheme.kinds.items()}, KINDS)),
        *((f"levels.{name}", _by_meaning(rules.codes)) for name, rules in sorted(scheme.levels.items())),
        ("code_list", {rules.table: _codes(rules) for rules in scheme.code_lists.values()}),
        ("counting", _counting(scheme)),
        ("status", _named(scheme.status, STATES)),
    ]


def _format(scheme: Scheme) -> str:
    accepted = [f"…{suffix}" for suffix in scheme.number_format.suffixes]
    if scheme.number_format.surrounding_blanks:
        accepted.append("blanks")
    return ", ".join(accepted) or "nothing"


def _units(scheme: Scheme) -> dict[str, str]:
    rules: dict[str, str] = {}
    for unit in scheme.units:
        worth = f"{exact_text(unit.study_hours)} study hours" if unit.study_hours else "no study hours"
        text = f"{worth}{_span(unit)}"
        rules[unit.unit_id] = f"{rules[unit.unit_id]}; {text}" if unit.unit_id in rules else text
    for kind in sorted(scheme.unit_of_kind):
        rules[f"unit of {KINDS.word(kind)}"] = scheme.unit_of_kind[kind]
    return rules


def _span(unit: CreditUnit) -> str:
    start = f" from {unit.valid_from}" if unit.valid_from else ""
    return f"{start} until {unit.valid_until}" if unit.valid_until else start


def _scale(scale: GradeScale) -> str:
    if not scale.is_numeric:
        return " ".join(scale.labels)
    ends = f"{exact_text(scale.low)} to {exact_text(scale.high)} by {exact_text(scale.step)}"
    return f"{ends}, pass {exact_text(scale.passing)}, bands from {' '.join(_starts(scale))}"


def _starts(scale: GradeScale) -> Iterable[str]:
    return (exact_text(band.low) for band in scale.bands)


def _counting(scheme: Scheme) -> dict[str, str]:
    rules = scheme.counting
    stage = "each value by itself" if scheme.rounds_items else "only the sum"
    found = {"what is rounded": stage, "repeats": rules.repeats or "undecided"}
    for cap in rules.caps:
        kinds = ", ".join(KINDS.word(kind) for kind in sorted(cap.kinds)) or "all"
        found[f"cap {cap.cap_id}"] = f"{exact_text(cap.amount)} {cap.unit} by {cap.scope} of {kinds}"
    for certificate, rule in rules.replacements.items():
        courses = ", ".join(f"{course.code} {exact_text(course.credits)}" for course in rule.courses)
        found[f"replacement {certificate}"] = courses
    return found


def _codes(rules: CodeListRules) -> str:
    digest = sha256(repr(sorted(rules.codes.items())).encode()).hexdigest()[:DIGEST_CHARACTERS]
    return f"{len(rules.codes)} codes of {rules.shared} ({digest})"


def _by_meaning(words: Mapping[str, str]) -> dict[str, str]:
    """Return the province's words for each meaning."""
    meanings: dict[str, str] = {}
    for word, meaning in words.items():
        meanings[meaning] = f"{meanings[meaning]}, {word}" if meaning in meanings else word
    return meanings


def _named(words: Mapping[str, int], shared: SharedWords) -> dict[str, str]:
    return _by_meaning({word: shared.word(value) for word, value in words.items()})
