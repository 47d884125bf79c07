"""Counting records together: ``scheme count``, and what holds for any set of records."""

import json
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.schemes import count_records, translate_record
from gateway.schemes.ratio import exact_text
from gateway.schemes.similar_titles import title_key
from tests.schemes.conftest import Command
from tests.schemes.samples import NODE_CONFIG, many_cases, record, shipped, simple

ZHEJIANG, JIANGSU = (str(NODE_CONFIG / province / "scheme.toml") for province in ("zhejiang", "jiangsu"))
ROWS = """learner_id,record_id,kind,title,course_code,credits,grade,grade_scale,award_date,status
990099199604121228,A,课程,高等数学（一）,M1,4,88,percentage,2023-01,有效
990099199604121228,B,课程,高等数学 Ⅰ,M1,4,92,percentage,2023-06,有效
990099199604121228,C,1+X证书,物流,,12,,,2024-06,有效
"""


@pytest.fixture
def learner(tmp_path: Path) -> str:
    path = tmp_path / "learner.csv"
    path.write_text(ROWS, encoding="utf-8")
    return str(path)


def test_count_for_people(scheme: Command, learner: str) -> None:
    ended = scheme("count", JIANGSU, learner, "--issuer", ZHEJIANG)
    assert ended.status == 0
    for text in ("repeated", "capped one-certificate", "4.5", "Together: 9.5 jiangsu/credit"):
        assert text in ended.out
    chinese = scheme("count", JIANGSU, learner, "--issuer", ZHEJIANG, "--language", "zh")
    assert "达到上限" in chinese.out


def test_count_for_programs(scheme: Command, learner: str) -> None:
    answer = json.loads(scheme("count", JIANGSU, learner, "--issuer", ZHEJIANG, "--output", "json").out)
    assert answer["totals"] == {"credit": "9.5"}
    assert answer["records"][0] == {
        "record_id": "A",
        "sources": ["zhejiang"],
        "unit": "credit",
        "exact": "32/9",
        "counted": "0",
        "remainder": "0",
        "reason": "repeated",
        "caps": [],
        "courses": {},
    }


def test_records_of_two_learners_are_not_counted_together(scheme: Command, tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text(ROWS + ROWS.splitlines()[1].replace("1228,A", "1229,D") + "\n", encoding="utf-8")
    ended = scheme("count", JIANGSU, str(path), "--issuer", ZHEJIANG)
    assert ended.status == 2
    assert "more than one learner" in ended.err
    assert "990099" not in ended.err


def test_a_wrong_row_is_named_by_line_and_column(scheme: Command, tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(ROWS.replace(",12,", ",NaN,"), encoding="utf-8")
    assert (
        "wrong.csv: line 4: credits: write digits"
        in scheme("count", JIANGSU, str(path), "--issuer", ZHEJIANG).err
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("高等数学（一）", "高等数学 Ⅰ"),
        ("高等数学1", "高等数学(一)"),
        ("法律与道德", "法律和道德"),
        ("Ｃ语言", "c 语言"),
    ],
)
def test_titles_that_are_written_differently(one: str, other: str) -> None:
    assert title_key(one) == title_key(other)


@pytest.mark.parametrize(("one", "other"), [("高等数学Ⅰ", "高等数学Ⅱ"), ("英语", "英语口语"), ("Xi", "X1i")])
def test_titles_that_are_not_the_same(one: str, other: str) -> None:
    assert title_key(one) != title_key(other)


CAPS = """
[counting]
repeats = "REPEATS"
term_starts = [3, 9]
""" + "".join(
    f"""
[[cap]]
id = "{scope}"
names = {{ en = "{scope}" }}
unit = "credit"
kinds = []
scope = "{scope}"
amount = "{amount}"
"""
    for scope, amount in (("record", 8), ("term", 20), ("year", 30), ("issuer", 45), ("all", 60))
)

items = st.fixed_dictionaries(
    {
        "credits": st.integers(0, 48).map(lambda quarters: exact_text(Fraction(quarters, 4))),
        "course_code": st.sampled_from(["", "C1", "C2"]),
        "grade": st.sampled_from(["", "55", "60", "72.5", "免修"]),
        "award_date": st.sampled_from(
            ["", "2023", "2023-01", "2023-04-05", "2023-09", "2024-02", "2024-10-01"]
        ),
        "issuer_code": st.sampled_from(["", "99901", "99902"]),
        "status": st.sampled_from(["", "有效", "撤销"]),
    }
)


@many_cases
@given(
    st.lists(items, max_size=12),
    st.randoms(use_true_random=False),
    st.sampled_from(["best", "latest", "first"]),
    st.sampled_from(["item", "sum"]),
)
def test_caps_hold_nothing_is_lost_and_order_does_not_matter(
    rows: list[dict[str, str]], chance: Random, repeats: str, stage: str
) -> None:
    scheme = simple("reader", "18", "0.5", "half_up", stage, CAPS.replace("REPEATS", repeats))
    records = [
        translate_record(
            record(record_id=f"R{place}", title=f"课程{place}号", **row), simple("issuer"), "node"
        )
        for place, row in enumerate(rows)
    ]
    first = count_records(records, scheme)
    chance.shuffle(records)
    assert count_records(records, scheme) == first
    assert len(first.records) == len(rows)
    assert sum((r.counted for r in first.records), Fraction(0)) == sum(first.sums.values(), Fraction(0)) <= 60
    for counted in first.records:
        assert 0 <= counted.counted <= 8
        assert counted.counted > 0 or counted.reason or not counted.exact
        if counted.reason in ("", "capped", "below-minimum"):
            worth = counted.counted + counted.remainder
            assert worth == (scheme.rounding.round(counted.exact) if stage == "item" else counted.exact)
    for total, amount in first.totals.items():
        assert (amount / Fraction(1, 2)).denominator == 1
        assert abs(amount - first.sums[total]) <= Fraction(1, 4)
    codes = [rows[int(r.record_id[1:])]["course_code"] for r in first.records if r.counted]
    assert len([code for code in codes if code]) == len({code for code in codes if code})


def test_points_and_credits_are_never_summed() -> None:
    scheme = shipped("zhejiang")
    records = [
        translate_record(
            record(record_id="A", kind="休闲学习", credits="10", credit_unit="point"), scheme, "n"
        ),
        translate_record(record(record_id="B", title="英语", credits="2"), scheme, "n"),
    ]
    assert {unit: str(amount) for unit, amount in count_records(records, scheme).sums.items()} == {
        "credit": "2",
        "point": "10",
    }
