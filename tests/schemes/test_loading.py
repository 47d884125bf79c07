"""Reading scheme files: the shipped ones, broken ones, and files that are none."""

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest

import gateway.schemes
from gateway.errors import SchemeError
from gateway.schemes import load_scheme, parse_scheme, scheme_json_schema
from gateway.schemes.toml_text import REPEATS_MAX, SCHEME_BYTES_MAX
from tests.schemes.samples import CASES, NODE_CONFIG, PROVINCES, ROOT, shipped, simple_text

BROKEN = sorted((CASES / "broken_schemes").glob("*.toml"))


@pytest.mark.parametrize("province", PROVINCES)
def test_shipped_schemes_load_and_are_not_official(province: str) -> None:
    path = NODE_CONFIG / province / "scheme.toml"
    scheme = load_scheme(path)
    assert scheme.scheme_id == province
    assert not scheme.reference.official
    assert scheme.note == "example, not official"
    assert scheme.reference.digest == sha256(path.read_bytes()).digest()
    assert "示例" in scheme.title


def test_shipped_schemes_differ_in_hours_and_rounding() -> None:
    units = {p: next(u for u in shipped(p).units if u.unit_id == "credit") for p in PROVINCES}
    assert {p: str(u.study_hours) for p, u in units.items()} == {
        "anhui": "17",
        "jiangsu": "18",
        "shanghai": "16",
        "zhejiang": "16",
    }
    assert len({shipped(p).rounding.mode for p in PROVINCES}) == 3


@pytest.mark.parametrize("path", BROKEN, ids=[path.stem for path in BROKEN])
def test_broken_scheme_is_refused_with_every_complaint(path: Path) -> None:
    expected = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        expected.append(line.removeprefix("# "))
    assert expected
    with pytest.raises(SchemeError) as refusal:
        load_scheme(path)
    found = [f"{p.line} [{p.table}] {p.key}: {p.text}" for p in refusal.value.problems]
    assert found == expected


def test_there_are_enough_broken_schemes() -> None:
    assert len(BROKEN) >= 60


def write(folder: Path, content: bytes) -> Path:
    path = folder / "scheme.toml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "line", "complaint"),
    [
        ('a = 1\nb = "学分'.encode("gb18030"), 2, "not UTF-8"),
        (b"#" * (SCHEME_BYTES_MAX + 1), 1, "larger than 1 MiB"),
        (b'[scheme]\nid = "', 2, "at end of document"),
    ],
    ids=["another encoding", "too large", "cut off"],
)
def test_what_is_no_scheme(tmp_path: Path, content: bytes, line: int, complaint: str) -> None:
    with pytest.raises(SchemeError, match=complaint) as refusal:
        load_scheme(write(tmp_path, content))
    assert [p.line for p in refusal.value.problems] == [line]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "{b=" * 5000, "nested too deeply"),
        ("[scheme]\nid = " + "9" * 5000, "too many digits"),
        ("[scheme]\neffective_from = 0000-01-01", "Invalid date"),
        ("[rounding]\n[rounding]\n", "the table stands twice"),
        ('a = "\0"', "Illegal character"),
    ],
    ids=["arrays", "tables", "digits", "year 0", "table twice", "NUL"],
)
def test_hostile_text_is_refused_in_words(text: str, complaint: str) -> None:
    with pytest.raises(SchemeError, match=complaint) as refusal:
        parse_scheme(text, "scheme.toml")
    assert [p.table for p in refusal.value.problems] == ["file"]


@pytest.mark.parametrize("number", ["nan", "-inf", "9" * 4000, "1e999"])
def test_a_number_that_is_none_is_not_suggested(number: str) -> None:
    with pytest.raises(SchemeError) as refusal:
        parse_scheme(simple_text().replace('"16"', number), "scheme.toml")
    assert [p.text for p in refusal.value.problems] == ['write a plain number as text, such as "16"']


def test_so_many_repeated_keys_are_looked_for_and_no_more() -> None:
    text = "[status]\n" + "".join(f'"{n}" = "valid"\n"{n}" = "valid"\n' for n in range(REPEATS_MAX + 50))
    with pytest.raises(SchemeError) as refusal:
        parse_scheme(text, "scheme.toml")
    assert len(refusal.value.problems) == REPEATS_MAX + 1


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(SchemeError, match="larger than 1 MiB"):
        load_scheme(Path("/dev/zero"))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(SchemeError, match="missing"):
        load_scheme(tmp_path / "none.toml")
    with pytest.raises(SchemeError, match="cannot be read"):
        load_scheme(tmp_path)


def test_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + simple_text().replace("\n", "\r\n").encode()
    scheme = load_scheme(write(tmp_path, content))
    assert scheme.reference.digest == sha256(content).digest()


def test_empty_file_names_every_table_that_is_needed(tmp_path: Path) -> None:
    with pytest.raises(SchemeError) as refusal:
        load_scheme(write(tmp_path, b""))
    assert {p.key for p in refusal.value.problems} == {"scheme", "rounding", "kinds"}


def test_words_that_look_like_other_types_do_not_break_the_checks() -> None:
    text = 'scheme = 1\nkinds = "x"\nlevels = []\ncredit_unit = 3\ngrade_scale = {}\nstatus = [1]\n'
    with pytest.raises(SchemeError) as refusal:
        parse_scheme(text, "scheme.toml")
    assert {p.line for p in refusal.value.problems} == {1, 2, 3, 4, 5, 6}


def test_a_line_separator_in_a_comment_does_not_shift_lines() -> None:
    text = "# \u2028 \x85\n" + simple_text(mode="up")
    with pytest.raises(SchemeError) as refusal:
        parse_scheme(text, "scheme.toml")
    assert [p.line for p in refusal.value.problems] == [
        number for number, line in enumerate(text.split("\n"), 1) if line.startswith('mode = "up"')
    ]


def keys_of(schema: dict[str, object]) -> set[str]:
    keys: set[str] = set()
    for name, part in schema.items():
        if name == "properties" and isinstance(part, dict):
            keys |= set(part)
        if isinstance(part, dict):
            keys |= keys_of(part)
    return keys


def test_json_schema_names_every_key_and_the_page_explains_it() -> None:
    schema = scheme_json_schema()
    json.dumps(schema)
    page = (ROOT / "docs" / "schemes.md").read_text(encoding="utf-8")
    keys = keys_of(schema)
    assert {"study_hours", "from", "pass", "x-certificate", "credit_from_hours", "suffixes"} <= keys
    assert {key for key in keys if not re.search(rf"`\[*([a-z_.]+\.)?{key}\]*`", page)} == set()


def test_public_names() -> None:
    assert set(gateway.schemes.__all__) == {
        "Count",
        "CountedRecord",
        "Difference",
        "LocalRecord",
        "Moved",
        "Scheme",
        "Step",
        "UntranslatableError",
        "count_records",
        "explain",
        "find_differences",
        "load_scheme",
        "move",
        "parse_scheme",
        "present_record",
        "scheme_json_schema",
        "translate_record",
    }
    assert all(hasattr(gateway.schemes, name) for name in gateway.schemes.__all__)
