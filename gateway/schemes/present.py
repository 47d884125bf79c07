"""From the shared model into the asker's own scheme: from the pivot, rounded once, losses named.

A translation is never translated: everything starts from what the source's own rules made of the
original (study hours, interval, shared code).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction

from creditexchange.v1.record_pb2 import (
    CONVERTIBILITY_NEVER,
    LOSS_BANDING,
    LOSS_BELOW_MINIMUM,
    LOSS_INCOMMENSURABLE_UNIT,
    LOSS_NEVER_CONVERTIBLE,
    LOSS_NO_RULE,
    LOSS_ROUNDING,
    VALUE_STATE_TRANSLATED,
    VALUE_STATE_UNTRANSLATED,
    CreditAmount,
    Grade,
    LearningRecord,
    LocalValue,
    LocalView,
)
from gateway.schemes.ratio import AmountError, exact_text, read_exact
from gateway.schemes.scheme import GradeBandRule, GradeScale, Scheme, first_day


def present_record(record: LearningRecord, scheme: Scheme) -> LocalView:
    """Return ``record``'s values in ``scheme``. Never fails: what has no rule stays untranslated."""
    view = LocalView(scheme=scheme.reference)
    work = _Presentation(record, scheme, view)
    for index, credit in enumerate(record.credits):
        work.credit(index, credit)
    if record.HasField("grade"):
        work.grade(record.grade)
    work.levels()
    work.words()
    return view


class _Presentation:
    """One record on its way into one scheme."""

    def __init__(self, record: LearningRecord, scheme: Scheme, view: LocalView) -> None:
        self.record = record
        self.scheme = scheme
        self.view = view

    def _set(self, value: LocalValue, text: str, unit: str = "") -> None:
        value.state, value.value, value.unit = VALUE_STATE_TRANSLATED, text, unit

    def _trace(
        self,
        path: str,
        original: str,
        result: str,
        rule: str,
        *,
        loss: int = 0,
        note: str = "",
        unrounded: str = "",
        rounding: str = "",
    ) -> None:
        self.view.trace.add(
            path=path,
            original=original,
            result=result,
            rule=rule,
            scheme=self.scheme.short_reference,
            loss=loss,
            note=note,
            unrounded=unrounded,
            rounding=rounding,
        )

    def _deny(self, value: LocalValue, path: str, original: str, rule: str, loss: int, note: str) -> None:
        value.state = VALUE_STATE_UNTRANSLATED
        self._trace(path, original, "", rule, loss=loss, note=note)

    def credit(self, index: int, credit: CreditAmount) -> None:
        scheme, value, path = self.scheme, self.view.credits.add(), f"credits[{index}]"
        rule = scheme.rule("credit_unit", "")
        if self.record.convertibility == CONVERTIBILITY_NEVER:
            note = "culture and leisure never become academic credit"
            self._deny(value, path, credit.as_issued, rule, LOSS_NEVER_CONVERTIBLE, note)
            return
        hours = _exact(credit.study_hours) if credit.state == VALUE_STATE_TRANSLATED else None
        if hours is None:
            note = "the source's unit has no value in study hours"
            self._deny(value, path, credit.as_issued, rule, LOSS_INCOMMENSURABLE_UNIT, note)
            return
        unit = scheme.unit_for("", self.record.kind, self._when())
        if unit is None or unit.study_hours is None:
            note = "this scheme counts no credits for records of this kind"
            self._deny(value, path, credit.study_hours, rule, LOSS_NO_RULE, note)
            return
        exact = hours / unit.study_hours
        rounded = scheme.rounding.round(exact)
        loss = 0 if rounded == exact else LOSS_BELOW_MINIMUM if rounded == 0 else LOSS_ROUNDING
        self._set(value, exact_text(rounded), f"{scheme.scheme_id}/{unit.unit_id}")
        self._trace(
            path,
            f"{credit.study_hours} study hours",
            value.value,
            scheme.rule("credit_unit", unit.unit_id),
            loss=loss,
            note=f"{exact_text(unit.study_hours)} study hours = 1 {unit.unit_id}",
            unrounded=exact_text(exact),
            rounding=scheme.rounding.text,
        )

    def grade(self, grade: Grade) -> None:
        value, scheme = self.view.grade, self.scheme
        word = next((w for w, status in scheme.grade_marks.items() if status == grade.status), "")
        if word and grade.state == VALUE_STATE_TRANSLATED:
            self._set(value, word)
            self._trace("grade", grade.as_issued, word, scheme.rule("grade_marks", word))
            return
        interval = _interval(grade)
        for scale in scheme.scales.values():
            found = _on_scale(scale, interval, grade)
            if found is None:
                continue
            text, rule = found
            self._set(value, text, f"{scheme.scheme_id}/{scale.scale_id}")
            loss = (
                LOSS_BANDING if interval is not None and interval[0] == interval[1] and rule != "value" else 0
            )
            note = "the number became a band" if loss else ""
            name = scheme.rule(f"grade_scale.{scale.scale_id}", rule)
            self._trace("grade", grade.as_issued, text, name, loss=loss, note=note)
            return
        note = "no scale of this scheme holds the grade without guessing"
        self._deny(value, "grade", grade.as_issued, scheme.rule("grade_scale", ""), LOSS_NO_RULE, note)

    def levels(self) -> None:
        by_framework = {rules.framework: rules for rules in self.scheme.levels.values()}
        for index, level in enumerate(self.record.levels):
            value, path = self.view.levels.add(), f"levels[{index}]"
            rules = by_framework.get(level.framework)
            word = rules.words.get(level.code) if rules is not None and level.code else None
            if rules is None or word is None:
                rule = self.scheme.rule("levels", "")
                self._deny(value, path, level.as_issued, rule, LOSS_NO_RULE, "no word for this level")
            else:
                self._set(value, word, f"{self.scheme.scheme_id}/{rules.name}")
                self._trace(path, level.code, word, self.scheme.rule(f"levels.{rules.name}", word))

    def words(self) -> None:
        scheme, record, view = self.scheme, self.record, self.view
        for value, path, words, key in (
            (view.kind, "kind", scheme.kind_words, record.kind),
            (view.status, "status", scheme.status_words, record.status.state),
        ):
            word = words.get(key)
            if word is not None:
                self._set(value, word)
            elif key:
                self._deny(value, path, str(key), scheme.rule(path, ""), LOSS_NO_RULE, "no word for it")
            else:
                value.state = VALUE_STATE_UNTRANSLATED

    def _when(self) -> date:
        record = self.record
        try:
            return first_day(record.award_date) or first_day(record.end_date) or datetime.now(UTC).date()
        except ValueError:  # a peer may send any number as a month
            return datetime.now(UTC).date()


def _exact(text: str) -> Fraction | None:
    try:
        return read_exact(text)
    except AmountError:
        return None


def _interval(grade: Grade) -> tuple[Fraction, Fraction] | None:
    if grade.state != VALUE_STATE_TRANSLATED:
        return None
    low, high = _exact(grade.percent_min), _exact(grade.percent_max)
    return None if low is None or high is None or low > high else (low, high)


def _on_scale(
    scale: GradeScale, interval: tuple[Fraction, Fraction] | None, grade: Grade
) -> tuple[str, str] | None:
    """Return the grade on ``scale`` and the rule's key, ``None`` when the scale cannot take it."""
    if interval is None:
        if grade.state != VALUE_STATE_TRANSLATED or scale.is_numeric:
            return None
        plain = [r for r in scale.labels.values() if r.percent is None and r.status == grade.status]
        return (plain[0].name, plain[0].name) if len(plain) == 1 else None
    low, high = interval
    if scale.is_percentage and low == high and ((low - scale.low) / scale.step).denominator == 1:
        return exact_text(low), "value"
    if scale.is_numeric:
        return None
    fitting = [rule for rule in scale.labels.values() if rule.percent and _holds(rule, low, high)]
    return (fitting[0].name, fitting[0].name) if len(fitting) == 1 else None


def _holds(rule: GradeBandRule, low: Fraction, high: Fraction) -> bool:
    """Whether the rule's interval holds [low, high), or the point low = high."""
    assert rule.percent is not None
    start, end = rule.percent
    if low == high:
        return start <= low < end or (end == 100 and low == 100)
    return start <= low and high <= end
