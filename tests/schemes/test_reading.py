"""Showing records: of newer peers, of careless ones, of the same scheme; and ratios that change with time."""

import pytest

from creditexchange.v1.record_pb2 import (
    BASIS_DERIVED,
    GRADE_STATUS_PASSED,
    LOSS_BANDING,
    LOSS_NO_RULE,
    LOSS_OUT_OF_SCALE,
    RECORD_KIND_COURSE,
    RECORD_KIND_LEISURE,
    VALUE_STATE_ABSENT,
    VALUE_STATE_TRANSLATED,
    VALUE_STATE_UNKNOWN,
    VALUE_STATE_UNTRANSLATED,
    VALUE_STATE_WITHHELD,
    LearningRecord,
)
from gateway.schemes import Scheme, UntranslatableError, parse_scheme, present_record, translate_record
from tests.schemes.samples import record, shipped, simple, simple_text, with_other_version

SPANS = """
[[credit_unit]]
id = "credit"
names = { zh-Hans = "学分" }
kinds = ["course"]
study_hours = "18"
valid_until = 2023-09-01

[[credit_unit]]
id = "credit"
names = { zh-Hans = "学分" }
kinds = ["course"]
study_hours = "16"
valid_from = 2023-09-01
"""


def with_spans() -> Scheme:
    text = simple_text("spans")
    start, end = text.index("[[credit_unit]]"), text.index("[[credit_from_hours]]")
    return parse_scheme(text[:start] + SPANS + "\n" + text[end:], "scheme.toml")


@pytest.mark.parametrize(
    ("dates", "hours"),
    [
        ({"award_date": "2023-08-31"}, "36"),
        ({"award_date": "2023-09-01"}, "32"),
        ({"award_date": "2023-08"}, "36"),
        ({"award_date": "2022"}, "36"),
        ({"award_date": "2023"}, ""),
        ({}, ""),
        ({"end_date": "2024-01"}, "32"),
        ({"award_date": "2024", "end_date": "2023-06"}, "32"),
    ],
    ids=["day before", "day of the change", "month before", "year before", "year of the change", "no date",
         "end instead of award", "award before end"],
)  # fmt: skip
def test_the_ratio_of_the_award_counts_and_is_never_guessed(dates: dict[str, str], hours: str) -> None:
    shared = translate_record(record(credits="2", **dates), with_spans(), "node")
    assert shared.credits[0].study_hours == hours
    if not hours:
        assert shared.credits[0].state == VALUE_STATE_UNTRANSLATED
        assert shared.credits[0].amount == "2"
        assert [step.loss for step in shared.trace if step.path.startswith("credits")] == [LOSS_NO_RULE]


def test_the_reader_also_uses_the_ratio_of_the_award() -> None:
    shared = translate_record(record(credits="9", award_date="2020-01"), simple("issuer", "16"), "node")
    assert present_record(shared, with_spans()).credits[0].value == "8"


def test_what_the_same_scheme_issued_is_shown_as_issued() -> None:
    scheme = shipped("anhui")
    issued = record(
        credits="2.25", grade="3.4", grade_scale="grade-point-4", education_level="职业高中", status="注销"
    )
    view = present_record(translate_record(issued, scheme, "anhui"), scheme)
    assert (view.credits[0].value, view.grade.value) == ("2.25", "3.4")
    assert view.levels[0].value == "职业高中"
    again = present_record(translate_record(issued, scheme, "anhui"), with_other_version("anhui"))
    assert again.credits[0].value == "2"
    assert again.grade.state == VALUE_STATE_TRANSLATED
    assert again.grade.value == "合格"  # 80 to 90 as an interval is no number; only passed is left


def test_a_peer_that_claims_our_scheme_gets_no_word_of_its_own_into_the_view() -> None:
    ours = shipped("zhejiang")
    claimed = LearningRecord(kind=RECORD_KIND_COURSE, scheme=ours.reference)
    claimed.grade.as_issued, claimed.grade.scale = "100 (recognised)", "elsewhere/scale"
    claimed.grade.state, claimed.grade.status = VALUE_STATE_TRANSLATED, GRADE_STATUS_PASSED
    claimed.credits.add(state=VALUE_STATE_TRANSLATED, amount="99", unit="elsewhere/credit")
    view = present_record(claimed, ours)
    assert view.credits[0].state == VALUE_STATE_UNTRANSLATED
    assert view.grade.value == "合格"


def test_a_peer_that_claims_our_scheme_and_its_scales_gets_no_word_of_its_own_into_the_view() -> None:
    ours = shipped("zhejiang")
    claimed = LearningRecord(kind=RECORD_KIND_COURSE, scheme=ours.reference)
    claimed.grade.as_issued, claimed.grade.scale = "100 (recognised)", "zhejiang/percentage"
    claimed.grade.state, claimed.grade.status = VALUE_STATE_TRANSLATED, GRADE_STATUS_PASSED
    claimed.credits.add(state=VALUE_STATE_TRANSLATED, amount="99 (recognised)", unit="zhejiang/credit")
    claimed.levels.add(
        state=VALUE_STATE_TRANSLATED, framework=1, code="bachelor", as_issued="doctor (recognised)"
    )  # type: ignore[arg-type]
    claimed.codes.add(
        state=VALUE_STATE_TRANSLATED,
        list=3,
        shared_list="example-certificates",
        code="X-WEB",
        as_issued="recognised",
    )  # type: ignore[arg-type]
    view = present_record(claimed, ours)
    assert "recognised" not in str([view.credits, view.grade, view.levels, view.codes])
    assert (view.grade.value, view.levels[0].value, view.codes[0].value) == ("合格", "本科", "ZJE-502")


def test_values_of_a_newer_version_are_kept_as_numbers() -> None:
    newer = LearningRecord.FromString(
        LearningRecord(record_id="R", kind=99, convertibility=9).SerializeToString()  # type: ignore[arg-type]
    )
    newer.status.state = 42  # type: ignore[assignment]
    newer.levels.add(framework=17, code="x", as_issued="十七级", state=VALUE_STATE_TRANSLATED)  # type: ignore[arg-type]
    newer.codes.add(list=9, shared_list="x", code="y", as_issued="Z9", state=VALUE_STATE_TRANSLATED)  # type: ignore[arg-type]
    newer.grade.state, newer.grade.status = VALUE_STATE_TRANSLATED, 55  # type: ignore[assignment]
    view = present_record(newer, shipped("zhejiang"))
    assert {
        view.kind.state,
        view.status.state,
        view.levels[0].state,
        view.codes[0].state,
        view.grade.state,
    } == {VALUE_STATE_UNTRANSLATED}
    assert {step.original for step in view.trace} == {"99", "42", "十七级", "Z9", ""}


@pytest.mark.parametrize("hours", ["", "NaN", "1e9", "-3", "1/0", "9" * 5000, "1/" + "9" * 5000, "１６"])
def test_hours_of_a_careless_peer_stay_untranslated(hours: str) -> None:
    shared = LearningRecord(kind=RECORD_KIND_COURSE)
    shared.credits.add(state=VALUE_STATE_TRANSLATED, as_issued="1", study_hours=hours)
    view = present_record(shared, shipped("zhejiang"))
    assert view.credits[0].state == VALUE_STATE_UNTRANSLATED


@pytest.mark.parametrize(
    ("low", "high", "loss"),
    [("150", "150", LOSS_OUT_OF_SCALE), ("90", "110", LOSS_OUT_OF_SCALE), ("", "", LOSS_NO_RULE),
     ("x", "90", LOSS_NO_RULE), ("50", "95", LOSS_NO_RULE)],
)  # fmt: skip
def test_intervals_of_a_careless_peer_stay_untranslated(low: str, high: str, loss: int) -> None:
    shared = LearningRecord(kind=RECORD_KIND_COURSE)
    shared.grade.state, shared.grade.percent_min, shared.grade.percent_max = VALUE_STATE_TRANSLATED, low, high
    view = present_record(shared, shipped("zhejiang"))
    assert view.grade.state == VALUE_STATE_UNTRANSLATED
    assert next(step.loss for step in view.trace if step.path == "grade") == loss


def test_a_failed_grade_in_a_passing_interval_is_not_shown_as_passed() -> None:
    shared = LearningRecord(kind=RECORD_KIND_COURSE)
    shared.grade.state, shared.grade.status = VALUE_STATE_TRANSLATED, 2  # type: ignore[assignment]
    shared.grade.percent_min, shared.grade.percent_max = "60", "70"
    assert present_record(shared, shipped("jiangsu")).grade.value == "未通过"


@pytest.mark.parametrize(("passing", "grade", "word"), [("50", "55", "合格"), ("65", "62", "不合格")])
def test_a_number_that_would_change_sides_is_not_shown_as_a_number(
    passing: str, grade: str, word: str
) -> None:
    text = simple_text("issuer").replace('pass = "60"', f'pass = "{passing}"')
    text = text.replace('{ from = "60", to = "70"', f'{{ from = "{passing}", to = "70"')
    text = text.replace('{ from = "0", to = "60"', f'{{ from = "0", to = "{passing}"')
    shared = translate_record(record(grade=grade), parse_scheme(text, "scheme.toml"), "node")
    view = present_record(shared, shipped("zhejiang"))
    assert view.grade.value == word
    assert any(step.loss == LOSS_BANDING for step in view.trace)


def test_only_passed_is_left_where_no_interval_fits() -> None:
    shared = LearningRecord(kind=RECORD_KIND_COURSE)
    shared.grade.state, shared.grade.status = VALUE_STATE_TRANSLATED, GRADE_STATUS_PASSED
    shared.grade.percent_min, shared.grade.percent_max = "65", "85"
    view = present_record(shared, shipped("jiangsu"))
    assert view.grade.value == "通过"
    assert view.grade.unit == "jiangsu/two-level"
    assert any(step.note == "only whether it was passed is left" for step in view.trace)


@pytest.mark.parametrize("month", [0, 13, 200])
def test_dates_that_do_not_exist_do_no_harm(month: int) -> None:
    shared = LearningRecord(kind=RECORD_KIND_COURSE)
    shared.award_date.year, shared.award_date.month, shared.award_date.day = 2024, month, 31
    shared.credits.add(state=VALUE_STATE_TRANSLATED, as_issued="1", study_hours="16")
    assert present_record(shared, with_spans()).credits[0].state == VALUE_STATE_UNTRANSLATED
    assert present_record(shared, shipped("zhejiang")).credits[0].value == "1"


@pytest.mark.parametrize("state", [VALUE_STATE_ABSENT, VALUE_STATE_UNKNOWN, VALUE_STATE_WITHHELD])
def test_states_without_a_value_are_passed_on(state: int) -> None:
    shared = LearningRecord(kind=RECORD_KIND_COURSE)
    shared.credits.add(state=state)  # type: ignore[arg-type]
    shared.levels.add(state=state, framework=1)  # type: ignore[arg-type]
    shared.grade.state = state  # type: ignore[assignment]
    view = present_record(shared, shipped("zhejiang"))
    assert [view.credits[0].state, view.levels[0].state, view.grade.state] == [state] * 3


def test_leisure_is_denied_even_if_the_source_calls_it_academic() -> None:
    shared = LearningRecord(kind=RECORD_KIND_LEISURE, convertibility=1)  # type: ignore[arg-type]
    shared.credits.add(state=VALUE_STATE_TRANSLATED, as_issued="2", study_hours="32")
    view = present_record(shared, shipped("zhejiang"))
    assert view.credits[0].state == VALUE_STATE_UNTRANSLATED
    assert "never become academic credit" in view.trace[0].note


def test_a_translation_is_not_translated_again() -> None:
    """A to B to C starts from A's hours, whatever B showed."""
    first, second, third = simple("a", "16"), simple("b", "18", "1", "floor"), simple("c", "16", "0.5")
    shared = translate_record(record(credits="3"), first, "node")
    assert present_record(shared, second).credits[0].value == "2"
    assert present_record(shared, third).credits[0].value == "3"


def test_derived_credits_are_marked_and_only_made_when_none_are_stated() -> None:
    scheme = simple("a", "16")
    derived = translate_record(record(kind="经历", hours="3", hour_kind="周"), scheme, "node")
    assert (derived.credits[0].amount, derived.credits[0].basis) == ("1.5", BASIS_DERIVED)
    stated = translate_record(record(kind="经历", hours="3", hour_kind="周", credits="3"), scheme, "node")
    assert len(stated.credits) == 1
    assert stated.credits[0].amount == "3"
    other = translate_record(record(kind="经历", hours="3", hour_kind="学时"), scheme, "node")
    assert not other.credits


@pytest.mark.parametrize("attempt", ["0.5", "一", "-1", "²", "9" * 5000, "1000"])
def test_attempts_are_small_whole_numbers(attempt: str) -> None:
    with pytest.raises(UntranslatableError, match="whole number"):
        translate_record(record(grade="80", attempt=attempt), shipped("zhejiang"), "node")


def test_an_unknown_scale_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UntranslatableError, match="percentage, five-level, two-level"):
        translate_record(record(grade="80", grade_scale="percent"), shipped("zhejiang"), "node")


@pytest.mark.parametrize("column", ["record_id", "title"])
def test_a_record_has_an_id_and_a_title(column: str) -> None:
    for value in (" ", "x" * 5000):
        with pytest.raises(UntranslatableError) as refusal:
            translate_record(record(**{column: value}), shipped("zhejiang"), "node")
        assert refusal.value.column == column


def test_an_end_before_the_start_is_refused_but_not_a_month_beside_a_day() -> None:
    scheme = shipped("zhejiang")
    translate_record(record(start_date="2024-06-15", end_date="2024-06"), scheme, "node")
    with pytest.raises(UntranslatableError, match="before start_date"):
        translate_record(record(start_date="2024-06-15", end_date="2024-05"), scheme, "node")
