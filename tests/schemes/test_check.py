"""Broken schemes, each with its exact complaint: table, key, line and words."""

from pathlib import Path

import pytest

from gateway.errors import SchemeError
from gateway.schemes import load_scheme, parse_scheme, scheme_json_schema

SCHEME = (Path(__file__).parents[2] / "node_config" / "zhejiang" / "scheme.toml").read_text(encoding="utf-8")


def problems(text: str) -> list[tuple[str, str, str, str]]:
    with pytest.raises(SchemeError) as error:
        parse_scheme(text, "scheme.toml")
    lines = text.splitlines()
    return [
        (p.table, p.key, p.text, lines[p.line - 1] if 0 < p.line <= len(lines) else "")
        for p in error.value.problems
    ]


def replaced(old: str, new: str) -> str:
    assert old in SCHEME, old
    return SCHEME.replace(old, new, 1)


BROKEN = {
    "gap between bands": (
        replaced('{ from = "80", to = "90"', '{ from = "81", to = "90"'),
        "there is a gap to the band below",
        'from = "81"',
    ),
    "overlapping bands": (
        replaced('{ from = "80", to = "90"', '{ from = "79", to = "90"'),
        "it overlaps the band below",
        'from = "79"',
    ),
    "band beyond the scale": (
        replaced('to = "100", band', 'to = "110", band'),
        "it lies outside the scale",
        'to = "110"',
    ),
    "top not covered": (
        replaced('from = "90", to = "100"', 'from = "90", to = "99"'),
        "no band holds grades up to 100",
        'to = "99"',
    ),
    "bottom not covered": (
        replaced('{ from = "0", to = "60"', '{ from = "1", to = "60"'),
        "no band holds grades from 0",
        'from = "1"',
    ),
    "band straddles pass": (
        replaced('pass = "60"', 'pass = "65"'),
        "it holds grades that pass and grades that fail",
        'from = "60"',
    ),
    "band upside down": (
        replaced('from = "80", to = "90"', 'from = "90", to = "80"'),
        "its upper end must be above its lower end",
        'from = "90", to = "80"',
    ),
    "ratio zero": (
        replaced('study_hours = "16"', 'study_hours = "0"'),
        "a ratio must be positive",
        "study_hours",
    ),
    "ratio negative": (
        replaced('study_hours = "16"', 'study_hours = "-16"'),
        'write a decimal such as "16"',
        "study_hours",
    ),
    "ratio as a float": (
        replaced('study_hours = "16"', "study_hours = 16.5"),
        "input should be a valid string",
        "study_hours",
    ),
    "no ratio and no reason": (
        replaced('study_hours = "16"\n', ""),
        "give either study_hours, or no_ratio",
        "[[credit_unit]]",
    ),
    "rounding not declared": (replaced('mode = "half_up"\n', ""), "this key is needed", "[rounding]"),
    "rounding unknown": (
        replaced('"half_up"', '"up"'),
        "input should be 'floor', 'half_up' or 'half_even'",
        "mode",
    ),
    "unknown key": (
        replaced("official = false", "offical = false"),
        "unknown key; did you mean 'official'?",
        "offical",
    ),
    "unknown table": (
        SCHEME + '\n[grade_mark]\n"x" = "exempt"\n',
        "unknown key; did you mean 'grade_marks'?",
        "[grade_mark]",
    ),
    "unknown shared kind": (replaced('kind = "course"', 'kind = "corse"'), "'corse' is not one of:", "课程"),
    "unknown level code": (
        replaced('"本科" = "bachelor"', '"本科" = "batchelor"'),
        "'batchelor' is not one of:",
        "本科",
    ),
    "skill level 6": (replaced('= "5"', '= "6"'), "'6' is not one of: 5, 4, 3, 2, 1", "五级"),
    "a word twice in a scale": (
        replaced('word = "良好"', 'word = "优秀"'),
        "'优秀' stands twice",
        'word = "优秀"',
    ),
    "a mark that is a grade": (
        replaced('"免修" = "exempt"', '"优秀" = "exempt"'),
        "it is a word of a scale already",
        '"优秀" = "exempt"',
    ),
    "two scales of one name": (
        replaced('id = "five-level"', 'id = "percentage"'),
        "there are two scales 'percentage'",
        'id = "percentage"',
    ),
    "a kind in two units": (
        replaced('kinds = ["leisure"]', 'kinds = ["course"]'),
        "'course' is counted in unit 'credit' already",
        "kinds",
    ),
    "overlapping dates": (
        SCHEME
        + '\n[[credit_unit]]\nid = "credit"\nnames = { en = "c" }\nkinds = []\nstudy_hours = "18"\nvalid_from = 2020-01-01\n',
        "the spans of unit 'credit' overlap",
        "valid_from",
    ),
    "a hole in the dates": (
        replaced('study_hours = "16"', 'study_hours = "16"\nvalid_until = 2019-01-01')
        + '\n[[credit_unit]]\nid = "credit"\nnames = { en = "c" }\nkinds = []\nstudy_hours = "18"\nvalid_from = 2020-01-01\n',
        "no ratio of unit 'credit' holds from 2019-01-01",
        "valid_from",
    ),
    "percentages that are none": (
        replaced('max = "100"', 'max = "120"'),
        "only a scale from 0 to 100 is the shared one",
        "is_percentage",
    ),
    "broken TOML": (replaced("[rounding]", "[rounding"), "no TOML", "[rounding"),
    "a word mapped twice": (
        replaced('"本科" = "bachelor"', '"本科" = "bachelor"\n"本科" = "master"'),
        "no TOML",
        '"本科" = "master"',
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_scheme_is_refused_at_its_place(name: str) -> None:
    text, complaint, line = BROKEN[name]
    found = problems(text)
    assert any(complaint in what and line in at for _, _, what, at in found), found


def test_all_problems_come_in_one_run() -> None:
    text = replaced('{ from = "80", to = "90"', '{ from = "81", to = "90"').replace(
        'study_hours = "16"', "", 1
    )
    assert len(problems(text)) >= 2


@pytest.mark.parametrize(
    "path",
    sorted((Path(__file__).parents[2] / "node_config").glob("*/scheme.toml")),
    ids=lambda p: p.parent.name,
)
def test_every_shipped_scheme_loads_and_says_what_it_is(path: Path) -> None:
    scheme = load_scheme(path)
    assert scheme.scheme_id == path.parent.name
    assert not scheme.reference.official
    assert scheme.note == "example, not official"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemeError, match="the file is missing"):
        load_scheme(tmp_path / "scheme.toml")
    (tmp_path / "scheme.toml").write_bytes(b"[scheme]\nid = \xff\n")
    with pytest.raises(SchemeError, match=r"scheme\.toml:2.*not UTF-8"):
        load_scheme(tmp_path / "scheme.toml")


def test_the_schema_explains_every_key() -> None:
    schema = scheme_json_schema()
    for name, table in schema["$defs"].items():
        for key, facts in table.get("properties", {}).items():
            assert facts.get("description"), f"{name}.{key}"
