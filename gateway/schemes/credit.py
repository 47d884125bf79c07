"""Credits and hours as issued in the shared model. The pivot of credits is the notional study hour.

Hours spent are another thing: they become credits only by a rule that the scheme declares.
"""

from __future__ import annotations

from fractions import Fraction

from creditexchange.v1.record_pb2 import (
    BASIS_DERIVED,
    BASIS_STATED,
    LOSS_INCOMMENSURABLE_UNIT,
    LOSS_NO_RULE,
    VALUE_STATE_TRANSLATED,
    VALUE_STATE_UNTRANSLATED,
    LearningRecord,
)
from gateway.schemes.ratio import AmountError, exact_text
from gateway.schemes.scheme import NoUnitError, Scheme
from gateway.schemes.shared_words import HOUR_KINDS, VALUE_STATES
from gateway.schemes.untranslatable import UntranslatableError

NO_UNIT = -1


def merge_credits(scheme: Scheme, shared: LearningRecord, text: str, unit_id: str) -> None:
    """Add the credits in ``text`` to ``shared``, whose kind and dates stand already.

    Raises:
        UntranslatableError: ``text`` is no amount.
    """
    try:
        place, why_not = scheme.place_of_unit(unit_id, shared), ""
    except NoUnitError as error:
        place, why_not = NO_UNIT, str(error)
    shared.MergeFrom(scheme.shared_parts.get(credits_part, scheme, text, unit_id, place, why_not))


def credits_part(scheme: Scheme, text: str, unit_id: str, place: int, why_not: str) -> LearningRecord:
    """Return the part that credits make; ``place`` is that of the unit, or ``NO_UNIT`` and why."""
    part = LearningRecord()
    credit = part.credits.add(as_issued=text, basis=BASIS_STATED)
    unit = scheme.units[place] if place != NO_UNIT else None
    if unit is not None:
        credit.unit = f"{scheme.scheme_id}/{unit.unit_id}"
    elif unit_id:
        credit.unit = f"{scheme.scheme_id}/{unit_id}"
    if text in scheme.value_marks:
        state = scheme.value_marks[text]
        credit.state = state  # type: ignore[assignment]
        rule = ("value_marks", text)
        part.trace.append(scheme.applied("credits[0]", text, VALUE_STATES.word(state), rule))
        return part
    amount = _amount(scheme, "credits", text)
    credit.amount = exact_text(amount)
    path = "credits[0].study_hours"
    if unit is None:
        credit.state = VALUE_STATE_UNTRANSLATED
        step = scheme.applied(path, text, "", ("credit_unit", ""), loss=LOSS_NO_RULE, note=why_not)
    elif unit.study_hours is None:
        credit.state = VALUE_STATE_UNTRANSLATED
        rule = ("credit_unit", unit.unit_id)
        step = scheme.applied(path, text, "", rule, loss=LOSS_INCOMMENSURABLE_UNIT, note=unit.no_ratio)
    else:
        credit.state = VALUE_STATE_TRANSLATED
        credit.study_hours = exact_text(amount * unit.study_hours)
        note = f"1 {unit.unit_id} = {exact_text(unit.study_hours)} study hours"
        step = scheme.applied(path, text, credit.study_hours, ("credit_unit", unit.unit_id), note=note)
    part.trace.append(step)
    return part


def workload_part(scheme: Scheme, text: str, word: str) -> LearningRecord:
    """Return the part that hours and their kind make.

    Raises:
        UntranslatableError: ``text`` is no amount.
    """
    part = LearningRecord()
    work = part.workloads.add(as_issued=text, basis=BASIS_STATED)
    if text in scheme.value_marks:
        state = scheme.value_marks[text]
        work.state = state  # type: ignore[assignment]
        rule = ("value_marks", text)
        part.trace.append(scheme.applied("workloads[0]", text, VALUE_STATES.word(state), rule))
        return part
    work.amount = exact_text(_amount(scheme, "hours", text))
    kind = scheme.hour_kinds.get(word) if word else scheme.plain_hour_kind
    rule = ("hour_kinds", word) if word else ("scheme", "hour_kind")
    if not kind:
        work.state = VALUE_STATE_UNTRANSLATED
        note = "no rule for this kind of hour" if word else "the kind of hour is not stated"
        nothing = ("hour_kinds", "")
        step = scheme.applied("workloads[0].hour_kind", word, "", nothing, loss=LOSS_NO_RULE, note=note)
    else:
        work.state, work.hour_kind = VALUE_STATE_TRANSLATED, kind  # type: ignore[assignment]
        step = scheme.applied("workloads[0].hour_kind", word, HOUR_KINDS.word(kind), rule)
    part.trace.append(step)
    return part


def merge_derived_credits(scheme: Scheme, shared: LearningRecord, unit_id: str) -> bool:
    """Add credits made of the hours of ``shared`` if a declared rule says so; return whether one did."""
    work = shared.workloads[0]
    if work.state != VALUE_STATE_TRANSLATED:
        return False
    try:
        place = scheme.place_of_unit(unit_id, shared)
    except NoUnitError:
        return False
    if (scheme.units[place].unit_id, work.hour_kind) not in scheme.hours_a_credit:
        return False
    shared.MergeFrom(
        scheme.shared_parts.get(derived_part, scheme, work.as_issued, int(work.hour_kind), place)
    )
    return True


def derived_part(scheme: Scheme, hours: str, hour_kind: int, place: int) -> LearningRecord:
    """Return the part that hours make by the rule for this kind of hour and unit."""
    unit = scheme.units[place]
    ratio = scheme.hours_a_credit[unit.unit_id, hour_kind]
    assert unit.study_hours is not None  # checked when the scheme was loaded
    amount = scheme.number_format.read(hours) / ratio
    part = LearningRecord()
    credit = part.credits.add(
        state=VALUE_STATE_TRANSLATED,
        unit=f"{scheme.scheme_id}/{unit.unit_id}",
        amount=exact_text(amount),
        study_hours=exact_text(amount * unit.study_hours),
        basis=BASIS_DERIVED,
    )
    word = HOUR_KINDS.word(hour_kind)
    part.trace.append(
        scheme.applied(
            "credits[0].amount",
            f"{hours} {word}",
            credit.amount,
            ("credit_from_hours", f"{unit.unit_id}.{word}"),
            note=f"derived: {exact_text(ratio)} {word} = 1 {unit.unit_id}; the hours stay as they are",
        )
    )
    part.trace.append(
        scheme.applied(
            "credits[0].study_hours",
            credit.amount,
            credit.study_hours,
            ("credit_unit", unit.unit_id),
            note=f"1 {unit.unit_id} = {exact_text(unit.study_hours)} study hours",
        )
    )
    return part


def _amount(scheme: Scheme, column: str, text: str) -> Fraction:
    try:
        return scheme.number_format.read(text)
    except AmountError as error:
        raise UntranslatableError(column, str(error)) from error
