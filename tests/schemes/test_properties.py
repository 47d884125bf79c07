"""What holds for every record: order is kept, the way back is bounded, nothing is dropped."""

from dataclasses import fields
from fractions import Fraction

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from creditexchange.v1.record_pb2 import (
    LOSS_BELOW_MINIMUM,
    LOSS_ROUNDING,
    VALUE_STATE_TRANSLATED,
    VALUE_STATE_UNTRANSLATED,
    LearningRecord,
)
from gateway.schemes import LocalRecord, Scheme, present_record, translate_record
from gateway.schemes.ratio import exact_text, read_exact
from tests.schemes.samples import PROVINCES, record, shipped, simple

provinces = st.sampled_from(PROVINCES).map(shipped)
credit_texts = st.decimals(0, 500, places=2, allow_nan=False).map(lambda d: format(d, "f"))
hours_a_credit = st.fractions(1, 60, max_denominator=4).map(exact_text)
steps = st.sampled_from(["0.01", "0.1", "0.5", "1"])
modes = st.sampled_from(["floor", "half_up", "half_even"])
COURSE = {"anhui": "课程", "jiangsu": "课程学分", "shanghai": "课程", "zhejiang": "课程"}
GRADE_ORDER = ["不及格", "及格", "中", "良", "优"]


def credits_shown(text: str, issuer: Scheme, reader: Scheme) -> Fraction:
    view = present_record(translate_record(record(credits=text), issuer, "node"), reader)
    assert view.credits[0].state == VALUE_STATE_TRANSLATED
    return read_exact(view.credits[0].value)


@given(credit_texts, credit_texts, hours_a_credit, hours_a_credit, steps, modes)
def test_more_credits_are_never_shown_as_fewer(
    one: str, other: str, issued: str, read: str, step: str, mode: str
) -> None:
    issuer, reader = simple("issuer", issued), simple("reader", read, step, mode)
    shown = [credits_shown(text, issuer, reader) for text in (one, other)]
    assert (shown[0] <= shown[1]) if Fraction(one) <= Fraction(other) else (shown[0] >= shown[1])


@given(credit_texts, hours_a_credit, hours_a_credit, steps, modes)
def test_the_trace_tells_the_exact_result_when_something_was_rounded(
    text: str, issued: str, read: str, step: str, mode: str
) -> None:
    shared = translate_record(record(credits=text), simple("issuer", issued), "node")
    view = present_record(shared, simple("reader", read, step, mode))
    applied = next(use for use in view.trace if use.path == "credits[0]")
    exact = Fraction(text) * Fraction(issued) / Fraction(read)
    shown = read_exact(view.credits[0].value)
    if shown == exact:
        assert (applied.unrounded, applied.rounding, applied.loss) == ("", "", 0)
    else:
        assert read_exact(applied.unrounded) == exact
        assert applied.rounding == f"{step} {mode}"
        assert applied.loss == (LOSS_ROUNDING if shown else LOSS_BELOW_MINIMUM)


@given(st.integers(0, 2000), hours_a_credit, hours_a_credit, steps, modes)
def test_there_and_back_stays_within_the_bound(
    count: int, here: str, there: str, step: str, mode: str
) -> None:
    """credit-model 3.4: half modes step·(1+r_B/r_A)/2, floor step·(1+r_B/r_A); both schemes round alike."""
    size = Fraction(step)
    text = exact_text(count * size)
    first = simple("first", here, step, mode)
    second = simple("second", there, step, mode)
    shown = credits_shown(text, first, second)
    back = credits_shown(exact_text(shown), second, simple("third", here, step, mode))
    bound = size * (1 + Fraction(there) / Fraction(here)) / (1 if mode == "floor" else 2)
    assert abs(back - Fraction(text)) <= bound


def test_there_and_back_is_not_equal_in_general() -> None:
    sixteen, eighteen = simple("a", "16", "0.5", "floor"), simple("b", "18", "0.5", "floor")
    there = credits_shown("3", sixteen, eighteen)
    assert exact_text(there) == "2.5"
    assert exact_text(credits_shown("2.5", eighteen, simple("c", "16", "0.5", "floor"))) == "2.5"
    assert exact_text(credits_shown("2.5", eighteen, simple("c", "16", "0.5", "half_up"))) == "3"


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_better_grade_is_never_shown_as_a_worse_one(one: int, other: int) -> None:
    low, high = sorted((Fraction(one, 2), Fraction(other, 2)))
    words = []
    for value in (low, high):
        issued = record(grade=exact_text(value), grade_scale="percentage")
        words.append(present_record(translate_record(issued, shipped("zhejiang"), "n"), shipped("jiangsu")))
    ranks = [GRADE_ORDER.index(view.grade.value) for view in words]
    assert ranks[0] <= ranks[1]


@given(st.integers(0, 200), provinces)
def test_a_failed_grade_is_never_shown_as_passed(halves: int, reader: Scheme) -> None:
    shared = translate_record(record(grade=exact_text(Fraction(halves, 2))), shipped("zhejiang"), "n")
    view = present_record(shared, reader)
    passed = {"优秀", "良好", "中等", "优", "良", "中", "及格", "合格", "通过"}
    if view.grade.value in passed:
        assert halves >= 120
    elif view.grade.value in {"不及格", "不合格", "未通过"}:
        assert halves < 120


def texts_in(message: Message) -> set[str]:
    found: set[str] = set()
    for field, value in message.ListFields():
        values = value if field.is_repeated else [value]
        for item in values:
            if isinstance(item, Message):
                found |= texts_in(item)
            elif isinstance(item, str):
                found.add(item)
    return found


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=8)
FREE_COLUMNS = [
    field.name
    for field in fields(LocalRecord)
    if field.name
    not in {
        "record_id",
        "kind",
        "title",
        "credits",
        "hours",
        "attempt",
        "grade_scale",
        "start_date",
        "end_date",
        "award_date",
        "expire_date",
        "status_since",
        "originals",
    }
]


@given(provinces, st.dictionaries(st.sampled_from(FREE_COLUMNS), words), st.booleans(), st.booleans())
def test_nothing_that_the_source_wrote_is_dropped(
    scheme: Scheme, values: dict[str, str], with_credits: bool, with_hours: bool
) -> None:
    columns = dict(values)
    if with_credits:
        columns["credits"] = "2.25"
    if with_hours:
        columns["hours"] = "37"
    issued = record(kind=COURSE[scheme.scheme_id], **columns)
    shared = translate_record(issued, scheme, "node")
    texts = texts_in(shared)
    unit_texts = {text.partition("/")[2] for text in texts}
    for column, value in columns.items():
        assert value in texts or (column == "credit_unit" and value in unit_texts), column


@given(provinces, st.dictionaries(st.sampled_from(FREE_COLUMNS), words))
def test_any_words_translate_and_any_record_is_shown(scheme: Scheme, values: dict[str, str]) -> None:
    shared = translate_record(record(kind=COURSE[scheme.scheme_id], credits="3", **values), scheme, "node")
    again = LearningRecord.FromString(shared.SerializeToString())
    for reader in map(shipped, PROVINCES):
        view = present_record(again, reader)
        assert len(view.credits) == len(shared.credits)
        assert len(view.levels) == len(shared.levels)


@given(
    provinces, st.sampled_from(["education_level", "degree_level", "skill_level", "x_level", "grade"]), words
)
def test_a_word_without_rule_is_untranslated_with_a_reason(scheme: Scheme, column: str, word: str) -> None:
    shared = translate_record(record(kind=COURSE[scheme.scheme_id], **{column: word}), scheme, "node")
    value = shared.grade if column == "grade" else shared.levels[0]
    assert value.as_issued == word
    if value.state == VALUE_STATE_UNTRANSLATED:
        assert any(step.original == word and not step.result and step.loss for step in shared.trace)
    else:
        assert any(step.original == word and step.result for step in shared.trace)


@pytest.mark.parametrize("province", PROVINCES)
def test_the_same_record_gives_the_same_bytes(province: str) -> None:
    scheme = shipped(province)
    issued = record(kind=COURSE[province], credits="3", grade="88", hours="48", hour_kind="学时")
    first = translate_record(issued, scheme, "node").SerializeToString(deterministic=True)
    for other in ("1", "2", "3"):
        translate_record(record(kind=COURSE[province], credits=other, grade="60"), scheme, "node")
    assert translate_record(issued, scheme, "node").SerializeToString(deterministic=True) == first
