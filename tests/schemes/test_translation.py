"""The table of cases, and properties that hold for every value."""

import tomllib
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditexchange.v1 import record_pb2 as model
from gateway.schemes import LocalRecord, UntranslatableError, load_scheme, present_record, translate_record
from gateway.schemes.ratio import Rounding, exact_text, parse_amount, read_exact

ROOT = Path(__file__).parents[2]
TABLE = tomllib.loads((ROOT / "tests/cases/translation.toml").read_text(encoding="utf-8"))
SCHEMES = {p.parent.name: load_scheme(p) for p in (ROOT / "node_config").glob("*/scheme.toml")}
COLUMNS = {field.name for field in fields(LocalRecord)}


def local(case: dict, **changes: str) -> LocalRecord:
    facts = {"record_id": "r1", "title": "t", "kind": "课程", "award_date": "2020-07"}
    return LocalRecord(**(facts | {k: v for k, v in case.items() if k in COLUMNS} | changes))


def word(enum, value: int, prefix: str) -> str:
    return enum.Name(value).removeprefix(prefix).lower().replace("_", "-")


@pytest.mark.parametrize("case", TABLE["case"], ids=lambda c: c["name"])
def test_the_table_of_cases(case: dict) -> None:
    record = local(case)
    shared = translate_record(record, SCHEMES[case["from"]], case["from"])
    view = present_record(shared, SCHEMES[case["to"]])
    if "study_hours" in case:
        assert [c.study_hours for c in shared.credits] == ([case["study_hours"]] if record.credits else [])
    if "local_credits" in case:
        assert (view.credits[0].value or "untranslated") == case["local_credits"]
    for side, key in ((view.trace, "unrounded"),):
        if key in case:
            assert next(step.unrounded for step in side if step.path == "credits[0]") == case[key]
    if "credits" in case:
        step = next(step for step in view.trace if step.path == "credits[0]")
        assert (word(model.Loss, step.loss, "LOSS_") if step.loss else None) == case.get("loss")
    losses = {word(model.Loss, step.loss, "LOSS_") for step in shared.trace if step.loss}
    assert losses == ({case["shared_loss"]} if "shared_loss" in case else set())
    if "band" in case:
        assert word(model.GradeBand, shared.grade.band, "GRADE_BAND_") == case["band"]
    if "percent" in case:
        ends = [shared.grade.percent_min, shared.grade.percent_max]
        assert "-".join(dict.fromkeys(ends)) == case["percent"]
    if "grade_status" in case:
        assert word(model.GradeStatus, shared.grade.status, "GRADE_STATUS_") == case["grade_status"]
    if "local_grade" in case:
        assert shared.grade.as_issued == record.grade
        assert (view.grade.value or "untranslated") == case["local_grade"]
    if "level" in case:
        assert shared.levels[0].code == case["level"]
        assert (view.levels[0].value or "untranslated") == case["local_level"]


@pytest.mark.parametrize("case", TABLE["reject"], ids=lambda c: c["name"])
def test_what_can_only_be_a_mistake_is_rejected(case: dict) -> None:
    with pytest.raises(UntranslatableError) as error:
        translate_record(local(case), SCHEMES["shanghai"], "shanghai")
    assert error.value.column == case["column"]


amounts = st.decimals(min_value=0, max_value=1000, places=1).map(lambda d: format(d, "f"))
provinces = st.sampled_from(sorted(SCHEMES))


def course_word(province: str) -> str:
    return SCHEMES[province].kind_words[model.RECORD_KIND_COURSE]


def credits_in(province: str, amount: str, reader: str) -> Fraction:
    record = local({}, kind=course_word(province), credits=amount)
    view = present_record(translate_record(record, SCHEMES[province], province), SCHEMES[reader])
    return read_exact(view.credits[0].value)


@given(amounts, amounts, provinces, provinces)
def test_more_credits_never_become_fewer(a: str, b: str, source: str, reader: str) -> None:
    low, high = sorted((a, b), key=Fraction)
    assert credits_in(source, low, reader) <= credits_in(source, high, reader)


@given(amounts, provinces, provinces)
def test_there_and_back_stays_within_the_stated_rounding(amount: str, a: str, b: str) -> None:
    hours = {p: SCHEMES[p].unit_for("credit", 3, _today()).study_hours for p in (a, b)}
    steps = {p: SCHEMES[p].rounding.step for p in (a, b)}
    there = credits_in(a, amount, b)
    back = credits_in(b, exact_text(there), a)
    bound = steps[a] + steps[b] * hours[b] / hours[a]
    assert abs(back - parse_amount(amount)) <= bound


@given(st.integers(0, 200), st.integers(0, 200), provinces)
def test_a_better_grade_never_becomes_a_worse_one(a: int, b: int, reader: str) -> None:
    def rank(halves: int) -> int:
        record = local({}, kind=course_word("zhejiang"), grade=exact_text(Fraction(halves, 2)))
        shared = translate_record(record, SCHEMES["zhejiang"], "zhejiang")
        view = present_record(shared, SCHEMES[reader])
        words = {"优秀": 1, "优": 1, "良好": 2, "良": 2, "中等": 3, "中": 3, "及格": 4, "不及格": 5}
        return words.get(view.grade.value, shared.grade.band)

    low, high = sorted((a, b))
    assert rank(high) <= rank(low)


@given(st.text(min_size=1, max_size=30), st.text(max_size=30), provinces)
def test_an_unknown_word_arrives_as_it_was_written(grade: str, status: str, province: str) -> None:
    scheme = SCHEMES[province]
    record = local({}, kind=course_word(province), grade=grade, status=status)
    shared = translate_record(record, scheme, province)
    assert shared.grade.as_issued == grade
    assert shared.status.as_issued == status
    known = any(grade in s.labels for s in scheme.scales.values()) or grade in scheme.grade_marks
    if not known and not grade[0].isdecimal():
        assert shared.grade.state == model.VALUE_STATE_UNTRANSLATED
        assert any(step.path == "grade" and step.original == grade for step in shared.trace)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=10), st.text(max_size=20)), max_size=5))
def test_nothing_that_has_no_place_is_dropped(members: list[tuple[str, str]]) -> None:
    record = local({}, originals=tuple(members))
    shared = translate_record(record, SCHEMES["shanghai"], "shanghai")
    assert [(f.name, f.value) for f in shared.originals] == members


@given(st.fractions(min_value=0, max_value=10_000, max_denominator=1000))
def test_exact_text_is_exact(value: Fraction) -> None:
    assert read_exact(exact_text(value)) == value


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("floor", "9/4", "2"),
        ("half_up", "9/4", "2.5"),
        ("half_even", "9/4", "2"),
        ("floor", "25/9", "2.5"),
        ("half_up", "25/9", "3"),
        ("floor", "8/3", "2.5"),
        ("half_up", "8/3", "2.5"),
    ],
)
def test_the_three_modes_differ(mode: str, value: str, expected: str) -> None:
    assert exact_text(Rounding(Fraction(1, 2), mode).round(read_exact(value))) == expected


def test_no_binary_floating_point_in_the_shared_model() -> None:
    for message in model.DESCRIPTOR.message_types_by_name.values():
        for field in message.fields:
            assert field.cpp_type not in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT), field.full_name


def test_every_translated_value_names_its_rule_and_scheme_version() -> None:
    record = local(
        {}, credits="3", grade="90", hours="48", hour_kind="学时", status="有效", education_level="本科"
    )
    shared = translate_record(record, SCHEMES["shanghai"], "shanghai")
    paths = {step.path: step for step in shared.trace}
    assert set(paths) == {
        "kind",
        "credits[0].study_hours",
        "workloads[0].hour_kind",
        "grade.band",
        "levels[0].code",
        "status.state",
    }
    assert {step.scheme.version for step in shared.trace} == {"2026.1"}
    assert paths["credits[0].study_hours"].rule == "shanghai/credit_unit/credit"


@pytest.mark.parametrize(
    ("number", "year", "warnings"),
    [
        ("102541201805123456", "2018", []),
        ("102541201805123456", "2019", ["graduation-number-year"]),
        ("102541201806123456", "2018", ["graduation-number-level"]),
        ("10254120010512345", "2001", []),
        ("S000031000001213000001", "2018", []),
    ],
)
def test_a_number_that_contradicts_its_record_is_a_warning_and_both_are_kept(
    number: str, year: str, warnings: list[str]
) -> None:
    record = local({}, kind="学历", education_level="本科", award_date=year, certificate_number=number)
    shared = translate_record(record, SCHEMES["shanghai"], "shanghai")
    assert shared.certificate.number == number
    assert shared.award_date.year == int(year)
    found = [warning.code for warning in shared.warnings]
    assert found == warnings or (number.startswith("S") and "skill-number-year" in found)


def test_a_hostile_peers_record_cannot_break_the_view() -> None:
    record = model.LearningRecord(kind=3, convertibility=1)
    record.award_date.year, record.award_date.month = 99999, 77
    record.credits.add(state=1, study_hours="1/0")
    record.credits.add(state=1, study_hours="9" * 5000)
    record.grade.state, record.grade.percent_min, record.grade.percent_max = 1, "90", "10"
    record.levels.add(framework=99, code="x")
    view = present_record(record, SCHEMES["zhejiang"])
    assert {value.state for value in view.credits} == {model.VALUE_STATE_UNTRANSLATED}


def _today():
    from datetime import date

    return date(2020, 7, 1)
