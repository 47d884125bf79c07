"""``scheme compare``, and ``scheme explain`` in both languages."""

import json
import re

import pytest

from gateway.cli.scheme_language import LANGUAGES
from gateway.schemes import find_differences, move, parse_scheme, present_record, translate_record
from gateway.schemes.wording import note_in_words, place_in_words
from tests.schemes.conftest import Command
from tests.schemes.samples import CASES, NODE_CONFIG, PROVINCES, record, shipped, simple, simple_text
from tests.schemes.test_translation_cases import TABLE, scheme_of

SHANGHAI, JIANGSU = (str(NODE_CONFIG / province / "scheme.toml") for province in ("shanghai", "jiangsu"))


@pytest.mark.parametrize("province", PROVINCES)
def test_a_scheme_does_not_differ_from_itself_and_loses_nothing(province: str) -> None:
    scheme = shipped(province)
    assert find_differences(scheme, scheme) == []
    samples = move(scheme, scheme)
    assert len(samples) > 40
    assert all(sample.shown == sample.issued for sample in samples)


@pytest.mark.parametrize(
    ("before", "after", "table", "key"),
    [
        ('mode = "half_up"', 'mode = "floor"', "rounding", "step and mode"),
        ('study_hours = "16"', 'study_hours = "33/2"', "credit_unit", "credit"),
        ('study_hours = "16"', 'study_hours = "16"\nvalid_from = 2020-01-01', "credit_unit", "credit"),
        ('"training", "experience"]', '"training"]', "credit_unit", "unit of experience"),
        ('hours = "2"', 'hours = "3"', "credit_from_hours", "credit, week"),
        ('step = "0.1"', 'step = "0.5"', "grade_scale", "percentage"),
        ('"免修" = "exempt"', '"免修" = "deferred"', "grade_marks", "exempt"),
        ('"有效" = "valid"', '"正常" = "valid"', "status", "valid"),
        ("[hour_kinds]", '[levels.degree]\n"学士" = "bachelor"\n[hour_kinds]', "levels.degree", "bachelor"),
        (
            "[rounding]",
            '[number_format]\nsuffixes = ["学分"]\n[rounding]',
            "number_format",
            "accepted around a number",
        ),
    ],
)
def test_each_changed_rule_is_found(before: str, after: str, table: str, key: str) -> None:
    text = simple_text()
    assert before in text
    changed = parse_scheme(text.replace(before, after), "scheme.toml")
    assert (table, key) in {(d.table, d.key) for d in find_differences(simple(), changed)}


def test_what_a_learner_gets_who_moves() -> None:
    samples = {(s.what, s.issued): s for s in move(shipped("shanghai"), shipped("jiangsu"))}
    three = samples["credit", "3"]
    assert (three.shown, three.unit, three.exact, three.loss) == ("2.5", "jiangsu/credit", "8/3", "rounding")
    assert samples["point", "1"].shown == ""
    assert samples["percentage", "80"].shown == "良"
    assert samples["level, skill", "三级/高级工"].shown == "高级工"
    assert samples["status", "撤销"].shown == "注销"


def test_samples_ask_each_span_of_a_unit() -> None:
    text = simple_text("spans")
    start, end = text.index("[[credit_unit]]"), text.index("[[credit_from_hours]]")
    unit = text[start:end].rstrip()
    spans = f"{unit}\nvalid_until = 2023-09-01\n\n{unit.replace('16', '18')}\nvalid_from = 2023-09-01\n\n"
    scheme = parse_scheme(text[:start] + spans + text[end:], "scheme.toml")
    shown = [s.shown for s in move(scheme, simple("other", "16", "0.01")) if s.issued == "2"]
    assert shown == ["2", "2.25"]


@pytest.mark.parametrize(
    ("span", "shown"),
    [
        ("valid_until = 2024-02-29", "2"),
        ("valid_from = 9999-12-30", ""),
        ("valid_until = 0001-01-02", ""),
        ("valid_from = 1899-12-31", ""),
    ],
)
def test_samples_of_spans_at_the_ends_of_time(span: str, shown: str) -> None:
    text = simple_text("spans").replace('study_hours = "16"', f'study_hours = "16"\n{span}')
    samples = move(parse_scheme(text, "scheme.toml"), simple("other"))
    assert [s.shown for s in samples if (s.what, s.issued) == ("credit", "2")] == [shown]


def test_compare_for_people(scheme: Command) -> None:
    ended = scheme("compare", SHANGHAI, JIANGSU)
    assert ended.status == 0
    for text in (
        "0.5 half_up",
        "0.5 floor",
        "18 study hours",
        "8/3",
        "never-convertible",
        "From jiangsu to shanghai",
    ):
        assert text in ended.out
    assert "免修" not in ended.out
    assert "免修" in scheme("compare", SHANGHAI, JIANGSU, "--all").out


def test_compare_for_programs(scheme: Command) -> None:
    answer = json.loads(scheme("compare", SHANGHAI, JIANGSU, "--output", "json").out)
    assert answer["first"] == "shanghai 2026.1"
    assert {
        "table": "rounding",
        "key": "step and mode",
        "first": "0.5 half_up",
        "second": "0.5 floor",
    } in answer["differences"]
    assert [(way["from"], way["to"]) for way in answer["moving"]] == [
        ("shanghai", "jiangsu"),
        ("jiangsu", "shanghai"),
    ]


def test_a_broken_scheme_is_not_compared(scheme: Command) -> None:
    ended = scheme("compare", SHANGHAI, str(CASES / "broken_schemes" / "ratio_zero.toml"))
    assert ended.status == 2
    assert "a ratio must be positive" in ended.err


def test_explain_in_chinese(scheme: Command) -> None:
    ended = scheme(
        "explain",
        SHANGHAI,
        "--to",
        JIANGSU,
        "--kind",
        "课程",
        "--credits",
        "3",
        "--grade",
        "89",
        "--language",
        "zh",
    )
    assert ended.status == 0
    for text in (
        "步骤",
        "学分折合学习时数",
        "8/3",
        "0.5 向下取整",
        "舍入",
        "转为等级",
        "18 学习时数 = 1 个 credit",
    ):
        assert text in ended.out
    assert "study hours" not in ended.out


def test_compare_in_chinese(scheme: Command) -> None:
    assert "由 shanghai 转到 jiangsu" in scheme("compare", SHANGHAI, JIANGSU, "--language", "zh").out


def notes_of_the_table() -> set[str]:
    notes = set()
    for case in TABLE:
        if "reject" in case or "record" not in case:
            continue
        shared = translate_record(record(**case["record"]), scheme_of(case["issuer"], "issuer"), "node")
        steps = [*shared.trace]
        for reader in (shipped("jiangsu"), shipped("anhui"), simple("reader")):
            steps += present_record(shared, reader).trace
        notes |= {step.note for step in steps} | {f"path {step.path}" for step in steps}
    return notes


def test_every_note_and_place_has_chinese_words() -> None:
    own = {unit.no_ratio for province in PROVINCES for unit in shipped(province).units}
    for note in notes_of_the_table() - own - {""}:
        if note.startswith("path "):
            chinese = place_in_words(note.removeprefix("path "), "zh")
        else:
            chinese = note_in_words(note, "zh")
        assert re.search(r"[\u4e00-\u9fff]", chinese), note
        assert "study hours" not in chinese


def test_both_languages_have_every_heading() -> None:
    first, *others = LANGUAGES.values()
    for other in others:
        assert set(other) == set(first)
