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
from gateway.schemes import LocalRecord, Scheme, count_records, present_record, translate_record
from gateway.schemes.ratio import exact_text, read_exact
from tests.schemes.samples import PROVINCES, many_cases, record, shipped, simple, with_points

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


@many_cases
@given(credit_texts, credit_texts, hours_a_credit, hours_a_credit, steps, modes)
def test_more_credits_are_never_shown_as_fewer(
    one: str, other: str, issued: str, read: str, step: str, mode: str
) -> None:
    issuer, reader = simple("issuer", issued), simple("reader", read, step, mode)
    shown = [credits_shown(text, issuer, reader) for text in (one, other)]
    assert (shown[0] <= shown[1]) if Fraction(one) <= Fraction(other) else (shown[0] >= shown[1])


@many_cases
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


@many_cases
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


@many_cases
@given(st.integers(0, 200), st.integers(0, 200))
def test_a_better_grade_is_never_shown_as_a_worse_one(one: int, other: int) -> None:
    low, high = sorted((Fraction(one, 2), Fraction(other, 2)))
    words = []
    for value in (low, high):
        issued = record(grade=exact_text(value), grade_scale="percentage")
        words.append(present_record(translate_record(issued, shipped("zhejiang"), "n"), shipped("jiangsu")))
    ranks = [GRADE_ORDER.index(view.grade.value) for view in words]
    assert ranks[0] <= ranks[1]


@many_cases
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


@many_cases
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


@many_cases
@given(provinces, st.dictionaries(st.sampled_from(FREE_COLUMNS), words))
def test_any_words_translate_and_any_record_is_shown(scheme: Scheme, values: dict[str, str]) -> None:
    shared = translate_record(record(kind=COURSE[scheme.scheme_id], credits="3", **values), scheme, "node")
    again = LearningRecord.FromString(shared.SerializeToString())
    for reader in map(shipped, PROVINCES):
        view = present_record(again, reader)
        assert len(view.credits) == len(shared.credits)
        assert len(view.levels) == len(shared.levels)


@many_cases
@given(
    provinces,
    st.sampled_from(
        ["education_level", "degree_level", "skill_level", "x_level", "framework_level", "grade"]
    ),
    words,
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


def back_home(word: str, column: str, reader: Scheme, kind: str) -> LearningRecord:
    return translate_record(record(kind=kind, **{column: word}), reader, "node")


@many_cases
@given(provinces, provinces, st.data())
def test_words_come_back_with_the_meaning_that_they_had(
    issuer: Scheme, reader: Scheme, data: st.DataObject
) -> None:
    """Shared to local to shared: levels, kinds, states and codes mean the same or stay untranslated."""
    framework, column = data.draw(
        st.sampled_from(
            [
                ("education", "education_level"),
                ("degree", "degree_level"),
                ("skill", "skill_level"),
                ("x-certificate", "x_level"),
                ("qualification", "framework_level"),
            ]
        )
    )
    word = data.draw(st.sampled_from(sorted(issuer.levels[framework].codes)))
    kind = data.draw(st.sampled_from(sorted(issuer.kinds)))
    status = data.draw(st.sampled_from(sorted(issuer.status)))
    major = data.draw(st.sampled_from(["080901", "120601", "530802", "999999"]))
    columns = {column: word, "status": status, "field_code": major, "field_scheme": "major-catalogue"}
    shared = translate_record(record(kind=kind, **columns), issuer, "node")
    view = present_record(shared, reader)
    values = {column: view.levels[0].value, "status": view.status.value, "field_code": view.codes[0].value}
    scheme_name = "major-catalogue" if view.codes[0].value else ""
    if view.kind.state == VALUE_STATE_TRANSLATED:
        again = translate_record(
            record(kind=view.kind.value, field_scheme=scheme_name, **values), reader, "node"
        )
        assert again.kind == shared.kind
        assert [level.code for level in again.levels] == [
            level.code for level in shared.levels if view.levels[0].value
        ]
        assert again.status.state == shared.status.state
        assert [code.code for code in again.codes] == [code.code for code in shared.codes if code.code]


all_grades = st.one_of(
    st.tuples(st.just("percentage"), st.integers(0, 200).map(lambda n: exact_text(Fraction(n, 2)))),
    st.tuples(st.just("grade-point-4"), st.integers(0, 40).map(lambda n: exact_text(Fraction(n, 10)))),
    st.tuples(st.just("five-level"), st.sampled_from(["优秀", "良好", "中等", "及格", "不及格"])),
    st.tuples(st.just("two-level"), st.sampled_from(["合格", "不合格"])),
)
READERS = st.one_of(provinces, st.just(with_points()), st.just(simple()))


@many_cases
@given(provinces, READERS, all_grades)
def test_a_grade_that_comes_back_never_says_more_than_it_said(
    issuer: Scheme, reader: Scheme, grade: tuple[str, str]
) -> None:
    """Shared to local to shared: the interval can only widen, and passed stays passed."""
    scale, text = grade
    if scale not in issuer.scales:
        return
    shared = translate_record(
        record(kind=COURSE[issuer.scheme_id], grade=text, grade_scale=scale), issuer, "node"
    )
    view = present_record(shared, reader)
    if shared.grade.state != VALUE_STATE_TRANSLATED or view.grade.state != VALUE_STATE_TRANSLATED:
        return
    kind = next(iter(reader.kinds))
    scale_id = view.grade.unit.rpartition("/")[2]
    again = translate_record(
        record(kind=kind, grade=view.grade.value, grade_scale=scale_id), reader, "node"
    ).grade
    assert again.status == shared.grade.status
    if again.percent_min:
        assert read_exact(again.percent_min) <= read_exact(shared.grade.percent_min)
        assert read_exact(shared.grade.percent_max) <= read_exact(again.percent_max)


@many_cases
@given(
    provinces,
    READERS,
    st.sampled_from(["percentage", "grade-point-4"]),
    st.integers(0, 200),
    st.integers(0, 200),
)
def test_a_better_grade_is_never_shown_lower_in_any_scheme(
    issuer: Scheme, reader: Scheme, scale: str, one: int, other: int
) -> None:
    """Monotone in grade: what the worse one is shown as never begins above what the better one is shown as."""
    if scale not in issuer.scales:
        return
    step = Fraction(1, 2) if scale == "percentage" else Fraction(1, 50)
    shown = []
    for value in sorted((one * step, other * step)):
        issued = record(kind=COURSE[issuer.scheme_id], grade=exact_text(value), grade_scale=scale)
        shared = translate_record(issued, issuer, "node")
        view = present_record(shared, reader)
        if view.grade.state != VALUE_STATE_TRANSLATED:
            return
        kind, scale_id = next(iter(reader.kinds)), view.grade.unit.rpartition("/")[2]
        shown.append(back_home(view.grade.value, "grade", reader, kind).grade if not scale_id else
                     translate_record(record(kind=kind, grade=view.grade.value, grade_scale=scale_id), reader, "n").grade)  # fmt: skip
    worse, better = shown
    assert not (worse.status == 1 and better.status == 2)
    if worse.percent_min and better.percent_max:
        assert read_exact(worse.percent_min) <= read_exact(better.percent_max)


@many_cases
@given(st.integers(0, 4000), st.integers(0, 4000), hours_a_credit, steps, modes)
def test_more_hours_never_make_fewer_derived_credits(
    one: int, other: int, hours: str, step: str, mode: str
) -> None:
    """Monotone in hours, where a rule derives credits of them."""
    reader = simple("reader", hours, step, mode)
    shown = []
    for value in sorted((one, other)):
        issued = record(kind="经历", hours=exact_text(Fraction(value, 4)), hour_kind="周")
        view = present_record(translate_record(issued, simple("issuer"), "node"), reader)
        shown.append(read_exact(view.credits[0].value))
    assert shown[0] <= shown[1]


@many_cases
@given(st.lists(credit_texts, min_size=1, max_size=8), hours_a_credit, hours_a_credit, steps, modes)
def test_parts_and_their_sum_differ_by_no_more_than_the_rounding(
    parts: list[str], issued: str, read: str, step: str, mode: str
) -> None:
    """n parts: less than n steps for floor (and never more than the sum), half of that and a half otherwise."""
    issuer, size = simple("issuer", issued), Fraction(step)
    reader = simple("reader", read, step, mode)
    apart = sum((credits_shown(part, issuer, reader) for part in parts), Fraction(0))
    exact = sum((Fraction(part) for part in parts), Fraction(0)) * Fraction(issued) / Fraction(read)
    together = reader.rounding.round(exact)
    if mode == "floor":
        assert 0 <= together - apart < len(parts) * size
        assert apart <= exact
    else:
        assert abs(apart - exact) <= len(parts) * size / 2
        assert abs(apart - together) <= (len(parts) + 1) * size / 2


@many_cases
@given(st.lists(credit_texts, min_size=1, max_size=8), hours_a_credit, hours_a_credit, steps, modes)
def test_where_only_sums_are_rounded_nothing_is_lost_before(
    parts: list[str], issued: str, read: str, step: str, mode: str
) -> None:
    issuer, reader = simple("issuer", issued), simple("reader", read, step, mode, "sum")
    records = [
        translate_record(record(record_id=f"R{place}", title=f"课程{place}号", credits=part), issuer, "node")
        for place, part in enumerate(parts)
    ]
    count = count_records(records, reader)
    exact = sum((Fraction(part) for part in parts), Fraction(0)) * Fraction(issued) / Fraction(read)
    assert sum(count.sums.values(), Fraction(0)) == exact
    assert sum(count.totals.values(), Fraction(0)) == reader.rounding.round(exact)


@many_cases
@given(provinces, READERS, credit_texts, all_grades, st.booleans())
def test_nothing_is_lost_in_silence(
    issuer: Scheme, reader: Scheme, amount: str, grade: tuple[str, str], with_hours: bool
) -> None:
    """Each value is exact, or its step names the loss; each untranslated one has its original and a reason."""
    scale, text = grade
    columns = {"grade": text, "grade_scale": scale} if scale in issuer.scales else {}
    columns["hours" if with_hours else "credits"] = amount
    shared = translate_record(record(kind=COURSE[issuer.scheme_id], **columns), issuer, "node")
    view = present_record(shared, reader)
    for step in [*shared.trace, *view.trace]:
        assert step.rule
        assert step.scheme.version
        assert step.result or (step.loss and (step.original or step.path.endswith("hour_kind")))
        assert bool(step.unrounded) == bool(step.rounding)
    steps = {step.path: step for step in view.trace}
    for place, credit in enumerate(shared.credits):
        assert credit.as_issued == amount
        shown, step = view.credits[place], steps[f"credits[{place}]"]
        unit = next(unit for unit in reader.units if unit.unit_id == shown.unit.rpartition("/")[2])
        assert unit.study_hours
        if not step.loss:
            assert read_exact(shown.value) * unit.study_hours == read_exact(credit.study_hours)
        else:
            assert read_exact(step.unrounded) * unit.study_hours == read_exact(credit.study_hours)
    if shared.HasField("grade") and view.grade.value:
        is_number = shared.grade.percent_min and shared.grade.percent_min == shared.grade.percent_max
        if is_number and not steps["grade"].loss:
            own = translate_record(record(kind=next(iter(reader.kinds)), grade=view.grade.value,
                                          grade_scale=view.grade.unit.rpartition("/")[2]), reader, "n").grade  # fmt: skip
            assert (own.percent_min, own.percent_max) == (shared.grade.percent_min, shared.grade.percent_max)
