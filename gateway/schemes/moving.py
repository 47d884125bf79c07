"""What a learner gets for the same work after moving from one province to another.

The samples are made of the issuing scheme itself: every unit, band, word and level that it knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from creditexchange.v1.record_pb2 import (
    CODE_LIST_CERTIFICATE,
    CODE_LIST_DISCIPLINE,
    CODE_LIST_INSTITUTION,
    VALUE_STATE_TRANSLATED,
    LocalValue,
    LocalView,
    RuleApplication,
)
from gateway.schemes.dates import YEAR_MAX, YEAR_MIN
from gateway.schemes.local_record import LocalRecord
from gateway.schemes.present import present_record
from gateway.schemes.ratio import exact_text
from gateway.schemes.scheme import CreditUnit, Scheme
from gateway.schemes.shared_words import LOSSES
from gateway.schemes.translate import translate_record

SAMPLE_CREDITS = ("0.5", "1", "2", "3", "4.5")
"""Amounts that courses usually have."""
SAMPLE_CODES_MAX = 50
"""Codes of one list that are tried: lists are long."""

_CODE_COLUMNS: Mapping[int, tuple[str, str]] = {
    CODE_LIST_INSTITUTION: ("issuer_code_scheme", "issuer_code"),
    CODE_LIST_DISCIPLINE: ("field_scheme", "field_code"),
    CODE_LIST_CERTIFICATE: ("", "certificate_code"),
}
"""Columns of a record that name a list and hold a code of it."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One sample: what was issued, and what it is in the other scheme."""

    what: str
    issued: str
    shown: str
    """Empty when untranslated."""
    unit: str
    exact: str
    """Before rounding; empty when nothing was rounded."""
    loss: str
    note: str


def move(source: Scheme, target: Scheme) -> list[Moved]:
    """Return what ``target`` shows of each unit, grade, kind and level of ``source``."""
    if not source.kinds:
        return []
    return [*_credits(source, target), *_grades(source, target), *_words(source, target)]


def _record(scheme: Scheme, kind: str = "", **values: str) -> LocalRecord:
    return LocalRecord(record_id="sample", kind=kind or _plain_kind(scheme), title="sample", **values)  # type: ignore[arg-type]


def _plain_kind(scheme: Scheme) -> str:
    """Return the word for a course, else for whatever the scheme knows: grades do not depend on it."""
    return next(iter(scheme.kinds))


def _view(source: Scheme, target: Scheme, record: LocalRecord) -> LocalView:
    return present_record(translate_record(record, source, source.scheme_id), target)


def _credits(source: Scheme, target: Scheme) -> Iterator[Moved]:
    for unit in source.units:
        kind = _kind_of(source, unit)
        if not kind:
            continue
        for amount in SAMPLE_CREDITS:
            record = _record(
                source, kind, credits=amount, credit_unit=unit.unit_id, award_date=_day_within(unit)
            )
            view = _view(source, target, record)
            yield _moved(unit.unit_id, amount, view.credits[0], view.trace, "credits")


def _kind_of(scheme: Scheme, unit: CreditUnit) -> str:
    """Return a word for a kind that counts in ``unit``, else one that counts at all."""
    kinds = sorted(unit.kinds) or sorted(scheme.unit_of_kind)
    return next((scheme.kind_words[kind] for kind in kinds if kind in scheme.kind_words), "")


def _day_within(unit: CreditUnit) -> str:
    """Return a day on which the unit's ratio holds, as a record states it; nothing when any will do."""
    day = unit.valid_from or unit.valid_until
    if day is None:
        return ""
    if unit.valid_from is None and day > date.min:
        day -= timedelta(days=1)
    return day.isoformat() if YEAR_MIN <= day.year <= YEAR_MAX else ""


def _grades(source: Scheme, target: Scheme) -> Iterator[Moved]:
    for scale in source.scales.values():
        if scale.is_numeric:
            grades = [exact_text(band.low) for band in scale.bands] + [exact_text(scale.high)]
        else:
            grades = list(scale.labels)
        for grade in grades:
            view = _view(source, target, _record(source, grade=grade, grade_scale=scale.scale_id))
            yield _moved(scale.scale_id, grade, view.grade, view.trace, "grade")
    for word in source.grade_mark_words.values():
        view = _view(source, target, _record(source, grade=word))
        yield _moved("grade mark", word, view.grade, view.trace, "grade")


def _words(source: Scheme, target: Scheme) -> Iterator[Moved]:
    for word in source.kind_words.values():
        view = _view(source, target, _record(source, word))
        yield _moved("kind", word, view.kind, view.trace, "kind")
    for framework, column in (
        ("education", "education_level"),
        ("degree", "degree_level"),
        ("skill", "skill_level"),
        ("x-certificate", "x_level"),
        ("qualification", "framework_level"),
    ):
        for word in source.levels[framework].words.values():
            view = _view(source, target, _record(source, **{column: word}))
            yield _moved(f"level, {framework}", word, view.levels[0], view.trace, "levels[0]")
    for rules in source.code_lists.values():
        for code in list(rules.codes)[:SAMPLE_CODES_MAX]:
            name, column = _CODE_COLUMNS[rules.of]
            values = {column: code} | ({name: rules.local} if name else {})
            view = _view(source, target, _record(source, **values))
            yield _moved(rules.table, code, view.codes[0], view.trace, "codes[0]")
    for word in source.status_words.values():
        view = _view(source, target, _record(source, status=word))
        yield _moved("status", word, view.status, view.trace, "status")


def _moved(what: str, issued: str, value: LocalValue, trace: Iterable[RuleApplication], path: str) -> Moved:
    step = next((step for step in trace if step.path.partition("[")[0] == path.partition("[")[0]), None)
    return Moved(
        what=what,
        issued=issued,
        shown=value.value if value.state == VALUE_STATE_TRANSLATED else "",
        unit=value.unit,
        exact=step.unrounded if step else "",
        loss=LOSSES.word(step.loss) if step else "",
        note=step.note if step else "",
    )
