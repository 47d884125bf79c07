"""From the shared model into the asker's own scheme: from the pivot, rounded once, losses named.

A translation is never translated: everything starts from what the source's own rules made of the
original (study hours, interval, shared code). What the same scheme issued is shown as issued.
"""

from __future__ import annotations

from fractions import Fraction

from creditexchange.v1.record_pb2 import (
    CONVERTIBILITY_NEVER,
    LOSS_BELOW_MINIMUM,
    LOSS_INCOMMENSURABLE_UNIT,
    LOSS_NEVER_CONVERTIBLE,
    LOSS_NO_RULE,
    LOSS_ROUNDING,
    RECORD_KIND_LEISURE,
    VALUE_STATE_ABSENT,
    VALUE_STATE_TRANSLATED,
    VALUE_STATE_UNKNOWN,
    VALUE_STATE_UNTRANSLATED,
    VALUE_STATE_WITHHELD,
    CreditAmount,
    LearningRecord,
    LocalValue,
    LocalView,
)
from gateway.schemes.codes import code_view
from gateway.schemes.present_grade import grade_view
from gateway.schemes.ratio import AmountError, exact_text, read_exact
from gateway.schemes.scheme import NoUnitError, Scheme
from gateway.schemes.shared_words import FRAMEWORKS, HOUR_KINDS, KINDS, STATES

WITHOUT_VALUE = frozenset({VALUE_STATE_ABSENT, VALUE_STATE_UNKNOWN, VALUE_STATE_WITHHELD})
"""States that a view passes on: there is nothing to translate."""


def present_record(record: LearningRecord, scheme: Scheme) -> LocalView:
    """Return ``record``'s values in ``scheme``. Never fails: what has no rule stays untranslated."""
    view = LocalView(scheme=scheme.reference)
    is_own = record.scheme.digest == scheme.reference.digest
    parts = scheme.local_parts
    for index, credit in enumerate(record.credits):
        _add_credit(scheme, view, record, index, credit, is_own=is_own)
    if not record.credits:
        for index, work in enumerate(record.workloads):
            hours = f"{work.amount} {HOUR_KINDS.word(work.hour_kind)}".strip()
            view.MergeFrom(parts.get(_hours_view, scheme, index, hours))
    if record.HasField("grade"):
        grade = record.grade
        if (
            is_own
            and grade.state == VALUE_STATE_TRANSLATED
            and _is_own_grade(scheme, grade.as_issued, grade.scale)
        ):
            view.MergeFrom(parts.get(_own_grade_view, scheme, grade.as_issued, grade.scale))
        elif grade.state in WITHOUT_VALUE:
            view.grade.state = grade.state
        else:
            values = (grade.as_issued, int(grade.state), int(grade.status))
            part = parts.get(grade_view, scheme, *values, grade.percent_min, grade.percent_max)
            view.MergeFrom(part)
    for index, level in enumerate(record.levels):
        if level.state in WITHOUT_VALUE:
            view.levels.add(state=level.state)
        else:
            own_word = level.as_issued if is_own else ""
            values_ = (index, int(level.framework), level.code, level.as_issued, own_word)
            view.MergeFrom(parts.get(_level_view, scheme, *values_))
    for index, code in enumerate(record.codes):
        own = code.as_issued if is_own else ""
        coded = (index, int(code.list), code.shared_list, code.code, code.as_issued, own)
        view.MergeFrom(parts.get(code_view, scheme, *coded))
    view.MergeFrom(parts.get(_kind_view, scheme, int(record.kind)))
    status = record.status
    view.MergeFrom(parts.get(_status_view, scheme, int(status.state), status.as_issued))
    return view


def _refuse(
    scheme: Scheme,
    view: LocalView,
    value: LocalValue,
    path: str,
    original: str,
    table: str,
    loss: int,
    note: str,
) -> None:
    """Leave a value of ``view`` untranslated and say why."""
    value.state = VALUE_STATE_UNTRANSLATED
    view.trace.append(scheme.applied(path, original, "", (table, ""), loss=loss, note=note))


def _add_credit(
    scheme: Scheme, view: LocalView, record: LearningRecord, index: int, credit: CreditAmount, *, is_own: bool
) -> None:
    path = f"credits[{index}]"
    if credit.state in WITHOUT_VALUE:
        view.credits.add(state=credit.state)
        return
    prefix, _, unit_id = credit.unit.rpartition("/")
    if (
        is_own
        and prefix == scheme.scheme_id
        and unit_id in scheme.unit_places
        and _exact(credit.amount) is not None
    ):
        view.credits.add(state=VALUE_STATE_TRANSLATED, value=credit.amount, unit=credit.unit)
        rule = ("credit_unit", unit_id)
        step = scheme.applied(path, credit.as_issued, credit.amount, rule, note="issued in this scheme")
        view.trace.append(step)
        return
    hours = _exact(credit.study_hours) if credit.state == VALUE_STATE_TRANSLATED else None
    loss, note, place = 0, "", -1
    if record.convertibility == CONVERTIBILITY_NEVER or record.kind == RECORD_KIND_LEISURE:
        loss, note = LOSS_NEVER_CONVERTIBLE, "culture and leisure never become academic credit"
    elif hours is None:
        loss, note = LOSS_INCOMMENSURABLE_UNIT, "the source's unit has no value in study hours"
    else:
        try:
            place = scheme.place_of_unit("", record)
        except NoUnitError as error:
            loss, note = LOSS_NO_RULE, str(error)
        else:
            if scheme.units[place].study_hours is None:
                loss, note = LOSS_INCOMMENSURABLE_UNIT, scheme.units[place].no_ratio
    if hours is None or loss:
        value = view.credits.add()
        _refuse(scheme, view, value, path, credit.as_issued or credit.amount, "credit_unit", loss, note)
        return
    view.MergeFrom(scheme.local_parts.get(_credit_view, scheme, path, hours, place))


def _credit_view(scheme: Scheme, path: str, hours: Fraction, place: int) -> LocalView:
    unit = scheme.units[place]
    assert unit.study_hours is not None
    exact = hours / unit.study_hours
    rounded = scheme.rounding.round(exact) if scheme.rounds_items else exact
    note = f"{exact_text(unit.study_hours)} study hours = 1 {unit.unit_id}"
    loss = 0
    if rounded != exact:
        loss = LOSS_ROUNDING if rounded else LOSS_BELOW_MINIMUM
        if not rounded:
            note += f"; less than the smallest step, {exact_text(scheme.rounding.step)}"
    view = LocalView()
    value = view.credits.add(state=VALUE_STATE_TRANSLATED, value=exact_text(rounded))
    value.unit = f"{scheme.scheme_id}/{unit.unit_id}"
    step = scheme.applied(
        path,
        f"{exact_text(hours)} study hours",
        value.value,
        ("credit_unit", unit.unit_id),
        loss=loss,
        note=note,
        unrounded=exact_text(exact) if loss else "",
        rounding=scheme.rounding.text if loss else "",
    )
    view.trace.append(step)
    return view


def _hours_view(scheme: Scheme, index: int, hours: str) -> LocalView:
    """Say why a record with hours and without credits shows no credits."""
    note = "hours spent are no credits: the source states none, and no rule of it derives any"
    rule = ("credit_unit", "")
    step = scheme.applied(f"workloads[{index}]", hours, "", rule, loss=LOSS_INCOMMENSURABLE_UNIT, note=note)
    return LocalView(trace=[step])


def _is_own_grade(scheme: Scheme, word: str, scale: str) -> bool:
    """Whether ``word`` is a mark of the scheme, or stands on the scale of it that is named.

    A peer can claim any scheme: only what this one can have issued is shown as issued.
    """
    if word in scheme.grade_marks:
        return True
    prefix, _, scale_id = scale.rpartition("/")
    found = scheme.scales.get(scale_id) if prefix == scheme.scheme_id else None
    return found is not None and found.holds(word)


def _own_grade_view(scheme: Scheme, word: str, scale: str) -> LocalView:
    view = LocalView()
    view.grade.state, view.grade.value, view.grade.unit = VALUE_STATE_TRANSLATED, word, scale
    table = f"grade_scale.{scale.rpartition('/')[2]}" if scale else "grade_marks"
    view.trace.append(scheme.applied("grade", word, word, (table, word), note="issued in this scheme"))
    return view


def _level_view(
    scheme: Scheme, index: int, framework: int, code: str, as_issued: str, own_word: str
) -> LocalView:
    view, path = LocalView(), f"levels[{index}]"
    value = view.levels.add()
    rules = scheme.levels_by_framework.get(framework)
    word = ""
    if rules is not None and code:
        word = own_word if own_word and rules.codes.get(own_word) == code else rules.words.get(code, "")
    if rules is None or not word:
        table = f"levels.{FRAMEWORKS.word(framework)}" if framework else "levels"
        note = "the source's own rules gave no shared level" if not code else "no word for this level"
        _refuse(scheme, view, value, path, as_issued, table, LOSS_NO_RULE, note)
        return view
    value.state, value.value = VALUE_STATE_TRANSLATED, word
    value.unit = f"{scheme.scheme_id}/{rules.name}"
    view.trace.append(scheme.applied(path, code, word, (f"levels.{rules.name}", word)))
    return view


def _kind_view(scheme: Scheme, kind: int) -> LocalView:
    view = LocalView()
    word = scheme.kind_words.get(kind)
    if word is None:
        _refuse(scheme, view, view.kind, "kind", KINDS.word(kind), "kinds", LOSS_NO_RULE, "no word for it")
        return view
    view.kind.state, view.kind.value = VALUE_STATE_TRANSLATED, word
    view.trace.append(scheme.applied("kind", KINDS.word(kind), word, ("kinds", word)))
    return view


def _status_view(scheme: Scheme, state: int, as_issued: str) -> LocalView:
    view = LocalView()
    word = scheme.status_words.get(state)
    if word is not None:
        view.status.state, view.status.value = VALUE_STATE_TRANSLATED, word
        view.trace.append(scheme.applied("status", STATES.word(state), word, ("status", word)))
    elif state or as_issued:
        original = STATES.word(state) or as_issued
        _refuse(scheme, view, view.status, "status", original, "status", LOSS_NO_RULE, "no word for it")
    else:
        view.status.state = VALUE_STATE_UNKNOWN
    return view


def _exact(text: str) -> Fraction | None:
    try:
        return read_exact(text)
    except AmountError:
        return None
