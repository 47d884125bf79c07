"""A grade as issued on the shared scale: an interval, a band, passed or not. Never more than was said."""

from __future__ import annotations

from fractions import Fraction

from creditexchange.v1.record_pb2 import (
    LOSS_BANDING,
    LOSS_NO_RULE,
    LOSS_OUT_OF_SCALE,
    VALUE_STATE_TRANSLATED,
    VALUE_STATE_UNKNOWN,
    VALUE_STATE_UNTRANSLATED,
    LearningRecord,
)
from gateway.schemes.ratio import AmountError, exact_text, parse_amount
from gateway.schemes.scheme import GradeBandRule, GradeScale, Scheme
from gateway.schemes.shared_words import BANDS, GRADE_STATUSES, VALUE_STATES
from gateway.schemes.untranslatable import UntranslatableError

ATTEMPT_DIGITS_MAX = 3


def grade_part(scheme: Scheme, word: str, scale_id: str, attempt: str) -> LearningRecord:
    """Return the part of a record that its grade, scale and attempt make; one of the three is stated.

    Raises:
        UntranslatableError: the attempt is no number, or the scale is not one of the scheme's.
    """
    part = LearningRecord()
    grade = part.grade
    grade.as_issued = word
    if attempt:
        if not (attempt.isascii() and attempt.isdecimal() and len(attempt) <= ATTEMPT_DIGITS_MAX):
            raise UntranslatableError("attempt", "write a whole number, 1 for the first attempt")
        grade.attempt = int(attempt)
    if scale_id:
        if scale_id not in scheme.scales:
            known = ", ".join(scheme.scales)
            raise UntranslatableError("grade_scale", f"unknown scale; the scheme knows: {known}")
        grade.scale = f"{scheme.scheme_id}/{scale_id}"
    if not word:
        grade.state = VALUE_STATE_UNKNOWN
    elif word in scheme.grade_marks:
        mark = scheme.grade_marks[word]
        grade.state, grade.status = VALUE_STATE_TRANSLATED, mark  # type: ignore[assignment]
        step = scheme.applied("grade.status", word, GRADE_STATUSES.word(mark), ("grade_marks", word))
        part.trace.append(step)
    elif word in scheme.value_marks:
        state = scheme.value_marks[word]
        grade.state = state  # type: ignore[assignment]
        step = scheme.applied("grade", word, VALUE_STATES.word(state), ("value_marks", word))
        part.trace.append(step)
    else:
        _graded(scheme, part, scheme.scales.get(scale_id))
    return part


def _graded(scheme: Scheme, part: LearningRecord, named: GradeScale | None) -> None:
    """Fill in the grade from the named scale, else from the only scale that can hold it."""
    word = part.grade.as_issued
    value = _number(word)
    scales = [named] if named is not None else list(scheme.scales.values())
    holding = [scale for scale in scales if _holds(scale, word, value)]
    if len(holding) != 1:
        part.grade.state = VALUE_STATE_UNTRANSLATED
        loss, note = LOSS_NO_RULE, "no scale knows this grade"
        if holding:
            note = f"more than one scale holds this grade: {', '.join(scale.scale_id for scale in holding)}"
        elif value is not None and any(scale.is_numeric for scale in scales):
            loss, note = LOSS_OUT_OF_SCALE, "the number lies outside the declared scale or between its steps"
        rule = (f"grade_scale.{named.scale_id}" if named else "grade_scale", "")
        part.trace.append(scheme.applied("grade", word, "", rule, loss=loss, note=note))
        return
    scale = holding[0]
    part.grade.scale = f"{scheme.scheme_id}/{scale.scale_id}"
    if value is not None and scale.is_numeric:
        _fill(scheme, part, scale, scale.band_of(value), value)
    else:
        _fill(scheme, part, scale, scale.labels[word], None)


def _number(word: str) -> Fraction | None:
    try:
        return parse_amount(word)
    except AmountError:
        return None


def _holds(scale: GradeScale, word: str, value: Fraction | None) -> bool:
    if scale.is_numeric:
        return value is not None and scale.holds_number(value)
    return word in scale.labels


def _fill(
    scheme: Scheme, part: LearningRecord, scale: GradeScale, rule: GradeBandRule, value: Fraction | None
) -> None:
    grade = part.grade
    grade.state = VALUE_STATE_TRANSLATED
    grade.status, grade.band = rule.status, rule.band  # type: ignore[assignment]
    loss, note = 0, ""
    percent = value if scale.is_percentage or value is None else scale.percent_of(value)
    if percent is not None:
        grade.percent_min = grade.percent_max = exact_text(percent)
    elif rule.percent is not None:
        grade.percent_min, grade.percent_max = map(exact_text, rule.percent)
        if value is not None:
            loss, note = LOSS_BANDING, "the number became an interval; grades are never carried by proportion"
    result = BANDS.word(rule.band) or GRADE_STATUSES.word(rule.status)
    table = f"grade_scale.{scale.scale_id}"
    part.trace.append(
        scheme.applied("grade.band", grade.as_issued, result, (table, rule.name), loss=loss, note=note)
    )
