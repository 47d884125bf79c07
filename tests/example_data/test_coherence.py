"""Dates, numbers and words of the example records hold together."""

import itertools
import re
from collections import Counter
from decimal import Decimal

import pytest

from tests.example_data.rows import PROVINCES, Row, catalogue, kind, rows, scheme, state

LAST_DAY = "2026-06-15"
REGIONS = {"shanghai": "31", "jiangsu": "32", "zhejiang": "33", "anhui": "34"}
GRADUATION_LEVELS = {"01": "doctor", "02": "master", "05": "bachelor", "06": "associate"}
CREDIT_CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"

EVERY = [(province, row) for province in PROVINCES for row in rows(province)]


def of_kind(*kinds: str) -> list[tuple[str, Row]]:
    return [(province, row) for province, row in EVERY if kind(province, row) in kinds]


def education(province: str, row: Row) -> str:
    return str(scheme(province)["levels"]["education"][row["education_level"]])


def test_every_word_is_one_that_the_scheme_knows() -> None:
    for province, row in EVERY:
        declared = scheme(province)
        assert row["kind"] in declared["kinds"]
        assert row["status"] in declared["status"]
        assert row["issuer_role"] in declared["issuer_roles"]
        assert row.get("hour_kind", "学时") in declared["hour_kinds"]
        for column, framework in (
            ("education_level", "education"),
            ("degree_level", "degree"),
            ("skill_level", "skill"),
            ("x_level", "x-certificate"),
        ):
            assert column not in row or row[column] in declared["levels"][framework]


def test_every_grade_is_on_its_scale_or_a_declared_mark() -> None:
    for province, row in EVERY:
        scales = {scale["id"]: scale for scale in scheme(province)["grade_scale"]}
        if "grade" not in row:
            assert "grade_scale" not in row
        elif "grade_scale" not in row:
            assert row["grade"] in scheme(province)["grade_marks"]
        elif (scale := scales[row["grade_scale"]])["type"] == "labels":
            assert row["grade"] in {label["word"] for label in scale["labels"]}
        else:
            value = Decimal(row["grade"])
            assert Decimal(scale["min"]) <= value <= Decimal(scale["max"])
            assert value % Decimal(scale["step"]) == 0


def test_every_credit_is_in_a_unit_that_its_kind_may_have() -> None:
    for province, row in EVERY:
        if "credits" in row:
            units = {unit["id"]: unit for unit in scheme(province)["credit_unit"]}
            assert kind(province, row) in units[row["credit_unit"]]["kinds"]
            assert Decimal(row["credits"]) % Decimal("0.5") == 0


def test_dates_have_a_declared_precision_and_lie_in_order() -> None:
    for _, row in EVERY:
        dates = [row[c] for c in ("start_date", "end_date", "award_date", "status_since") if c in row]
        for text in dates + [row[c] for c in ("expire_date",) if c in row]:
            assert re.fullmatch(r"(19|20)\d\d(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?", text)
        for earlier, later in itertools.pairwise(dates):
            precision = min(len(earlier), len(later))
            assert earlier[:precision] <= later[:precision]
        assert all(text <= LAST_DAY for text in dates)


def test_nobody_studies_too_young() -> None:
    youngest = {"secondary-vocational": 18, "associate": 20, "bachelor": 21, "master": 23}
    for province, row in of_kind("graduation"):
        age = int(row["award_date"][:4]) - int(row["learner_id"][6:10])
        assert age >= youngest[education(province, row)]
    for _, row in of_kind("skill-level", "vocational-qualification", "training"):
        assert int(row["award_date"][:4]) - int(row["learner_id"][6:10]) >= 18


def test_a_skill_certificate_follows_a_training() -> None:
    trained = {(p, r["learner_id"]): r["award_date"] for p, r in reversed(of_kind("training"))}
    certified = [(p, r) for p, r in of_kind("skill-level") if r["title"] != "物流服务师"]
    assert all(trained[p, row["learner_id"]] < row["award_date"] for p, row in certified)


def test_skill_levels_rise_with_the_years() -> None:
    ladders: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for province, row in of_kind("skill-level"):
        level = int(scheme(province)["levels"]["skill"][row["skill_level"]])
        ladders.setdefault((row["learner_id"], row["title"]), []).append((row["award_date"], level))
    for ladder in ladders.values():
        levels = [level for _, level in sorted(ladder)]
        assert levels == sorted(levels, reverse=True)


@pytest.mark.parametrize("province", PROVINCES)
def test_graduation_numbers_agree_with_school_year_and_level_but_for_two(province: str) -> None:
    contradicting = 0
    for _, row in [(p, r) for p, r in of_kind("graduation") if p == province]:
        number, year = row["certificate_number"], int(row["end_date"][:4])
        if education(province, row) == "secondary-vocational":
            assert str(year) in number
            continue
        assert re.fullmatch(r"\d{18}", number)
        assert number[:5] == row["issuer_code"]
        assert GRADUATION_LEVELS[number[10:12]] == education(province, row)
        contradicting += number[6:10] != str(year)
    assert contradicting == 2


def test_skill_numbers_agree_with_level_year_and_province() -> None:
    for province, row in of_kind("skill-level"):
        number = row["certificate_number"]
        match = re.fullmatch(r"[YS]\d{4}(\d\d)\d{6}(\d\d)([1-5])\d{6}", number)
        assert match is not None
        assert len(number) == 22
        level = scheme(province)["levels"]["skill"][row["skill_level"]]
        assert match.groups() == (REGIONS[province], row["award_date"][2:4], level)


def test_certificate_numbers_are_used_once_but_for_corrections() -> None:
    numbers = Counter(
        row["certificate_number"]
        for _, row in EVERY
        if "certificate_number" in row and "superseded_by" not in row
    )
    assert set(numbers.values()) == {1}


def test_social_credit_codes_have_valid_check_characters_in_the_synthetic_range() -> None:
    codes = {row["issuer_code"] for _, row in EVERY if row["issuer_code_scheme"] == "uscc"}
    assert len(codes) > 20
    for code in codes:
        assert re.fullmatch(r"529900\d\d[0-9A-Z]{10}", code)
        total = sum(CREDIT_CODE.index(c) * pow(3, i, 31) for i, c in enumerate(code[:17]))
        assert (total + CREDIT_CODE.index(code[17])) % 31 == 0


def test_one_institution_has_one_code_and_one_name_at_a_time() -> None:
    names: dict[str, set[str]] = {}
    codes: dict[str, set[str]] = {}
    for _, row in EVERY:
        names.setdefault(row["issuer_code"], set()).add(row["issuer_name"])
        codes.setdefault(row["issuer_name"], set()).add(row["issuer_code"])
    assert {code: len(found) for code, found in names.items() if len(found) > 1} == {"10256": 2, "11057": 2}
    assert {len(found) for found in codes.values()} == {1}


def test_a_degree_stands_beside_its_graduation() -> None:
    graduated = {(p, r["learner_id"], r["issuer_code"], r["award_date"]) for p, r in of_kind("graduation")}
    for province, row in of_kind("degree"):
        assert (province, row["learner_id"], row["issuer_code"], row["award_date"]) in graduated
        assert re.fullmatch(r"[234](04|05|07|08|12)", row["field_code"])


@pytest.mark.parametrize("province", PROVINCES)
def test_a_province_has_the_oddities_of_real_life(province: str) -> None:
    kept = rows(province)
    states = Counter(state(province, row) for row in kept)
    assert states["revoked"] == 4
    assert states["superseded"] == 3
    assert states["suspended"] == states["under-correction"] == 1
    assert states["expired"] >= 1
    marks = Counter(row["grade"] for row in kept if "grade" in row and "grade_scale" not in row)
    assert marks["免修"] >= 1
    assert marks["缓考"] >= 1
    assert sum(row.get("attempt") == "2" for row in kept) >= 5
    assert sum(len(row.get("award_date", "")) == 7 for row in kept) >= 20
    assert any("hours" in row and "credits" not in row for row in kept)
    assert any("credits" in row and "hours" not in row for row in kept)


def test_one_course_code_is_worth_less_in_a_later_catalogue() -> None:
    worth: dict[tuple[str, str, str], dict[str, str]] = {}
    for province, row in of_kind("course"):
        key = (province, row["course_code"], row["title"])
        worth.setdefault(key, {})[row["catalogue_version"]] = row["credits"]
    assert any(len(set(versions.values())) > 1 for versions in worth.values())


def test_what_has_expired_says_so() -> None:
    for province, row in EVERY:
        if "expire_date" in row:
            assert (row["expire_date"] <= LAST_DAY) == (state(province, row) == "expired")


def test_zhejiangs_records_refer_to_its_catalogue() -> None:
    kinds = {entry["code"]: entry["certificate_kind"] for entry in catalogue()}
    referring = [row for row in rows("zhejiang") if "certificate_number" in row]
    assert referring
    for row in referring:
        assert kinds[row["certificate_code"]] == kind("zhejiang", row)


def test_a_leisure_record_has_points_and_no_credits() -> None:
    assert {row["credit_unit"] for _, row in of_kind("leisure")} == {"point"}
