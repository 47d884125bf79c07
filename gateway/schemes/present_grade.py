"""A shared grade on the asker's scales: a number only if one is known, a word only if it fits."""

from __future__ import annotations

from fractions import Fraction

from creditexchange.v1.record_pb2 import (
    GRADE_STATUS_FAILED,
    GRADE_STATUS_PASSED,
    LOSS_BANDING,
    LOSS_NO_RULE,
    LOSS_OUT_OF_SCALE,
    VALUE_STATE_TRANSLATED,
    VALUE_STATE_UNTRANSLATED,
    LocalView,
)
from gateway.schemes.ratio import AmountError, exact_text, read_exact
from gateway.schemes.scheme import GradeBandRule, GradeScale, Scheme
from gateway.schemes.shared_words import GRADE_STATUSES

Interval = tuple[Fraction, Fraction]
"""On 0 to 100; the upper end is not included unless it is 100 or equal to the lower one."""

_PERCENT_MAX = 100
_FAILED_TO_LOWEST = "every failed grade becomes the lowest"


def grade_view(
    scheme: Scheme, as_issued: str, state: int, status: int, percent_min: str, percent_max: str
) -> LocalView:
    """Return the part of a view that a grade makes; the first scale that can take it without guessing."""
    view = LocalView()
    loss, note = LOSS_NO_RULE, "no scale of this scheme holds the grade without guessing"
    if state != VALUE_STATE_TRANSLATED:
        note = "the source's own rules did not translate it"
    elif word := scheme.grade_mark_words.get(status):
        _show(scheme, view, word, "")
        original = GRADE_STATUSES.word(status)
        view.trace.append(scheme.applied("grade", original, word, ("grade_marks", word)))
        return view
    else:
        interval = _interval(percent_min, percent_max)
        if interval is not None and interval[1] > _PERCENT_MAX:
            loss, note = LOSS_OUT_OF_SCALE, "the interval lies outside 0 to 100"
        elif _on_scales(scheme, view, as_issued, interval, status):
            return view
    view.grade.state = VALUE_STATE_UNTRANSLATED
    view.trace.append(scheme.applied("grade", as_issued, "", ("grade_scale", ""), loss=loss, note=note))
    return view


def _show(scheme: Scheme, view: LocalView, text: str, scale_id: str) -> None:
    view.grade.state, view.grade.value = VALUE_STATE_TRANSLATED, text
    view.grade.unit = f"{scheme.scheme_id}/{scale_id}" if scale_id else ""


def _on_scales(
    scheme: Scheme, view: LocalView, as_issued: str, interval: Interval | None, status: int
) -> bool:
    """Show the grade on the first scale that holds it; say whether one does."""
    for scale in scheme.scales.values():
        if interval is None:
            fitting = _plain(scale, status)
        elif interval[0] == interval[1] and _as_number(scheme, view, as_issued, scale, interval[0], status):
            return True
        else:
            fitting = [
                label for label in scale.labels.values() if label.status == status and _fits(label, interval)
            ]
        if len(fitting) == 1:
            is_number = interval is not None and interval[0] == interval[1]
            note = "the number became a word" if is_number else ""
            _show_word(scheme, view, as_issued, scale, fitting[0], note)
            return True
    for scale in scheme.scales.values() if interval is not None else ():
        fitting = _plain(scale, status)
        if len(fitting) == 1:
            _show_word(scheme, view, as_issued, scale, fitting[0], "only whether it was passed is left")
            return True
    return False


def _as_number(
    scheme: Scheme, view: LocalView, as_issued: str, scale: GradeScale, percent: Fraction, status: int
) -> bool:
    """Show the grade as a number of ``scale`` and say whether that was possible.

    A number that passes here and failed there, or the other way round, would say another thing.
    """
    key, note, shown = "value", "", percent if scale.is_percentage else None
    if scale.formula is not None:
        is_failed = status == GRADE_STATUS_FAILED
        key, note = "formula", _FAILED_TO_LOWEST if is_failed else ""
        shown = scale.low if is_failed else scale.value_of(percent)
    if shown is None or not scale.holds_number(shown):
        return False
    if status in (GRADE_STATUS_PASSED, GRADE_STATUS_FAILED) and scale.band_of(shown).status != status:
        return False
    text, loss = exact_text(shown), LOSS_BANDING if note else 0
    _show(scheme, view, text, scale.scale_id)
    rule = (f"grade_scale.{scale.scale_id}", key)
    view.trace.append(scheme.applied("grade", as_issued, text, rule, loss=loss, note=note))
    return True


def _show_word(
    scheme: Scheme, view: LocalView, as_issued: str, scale: GradeScale, label: GradeBandRule, lost: str
) -> None:
    _show(scheme, view, label.name, scale.scale_id)
    rule = (f"grade_scale.{scale.scale_id}", label.name)
    loss = LOSS_BANDING if lost else 0
    view.trace.append(scheme.applied("grade", as_issued, label.name, rule, loss=loss, note=lost))


def _plain(scale: GradeScale, status: int) -> list[GradeBandRule]:
    """Return the scale's words that say no more than passed or failed, as ``status`` does."""
    if status not in (GRADE_STATUS_PASSED, GRADE_STATUS_FAILED):
        return []
    return [label for label in scale.labels.values() if label.percent is None and label.status == status]


def _interval(percent_min: str, percent_max: str) -> Interval | None:
    try:
        low, high = read_exact(percent_min), read_exact(percent_max)
    except AmountError:
        return None
    return None if low > high else (low, high)


def _fits(label: GradeBandRule, interval: Interval) -> bool:
    """Whether the label's interval holds all of ``interval``."""
    if label.percent is None:
        return False
    (start, end), (low, high) = label.percent, interval
    if low == high:
        return start <= low < end or (end == _PERCENT_MAX and low == _PERCENT_MAX)
    return start <= low and high <= end
