"""What a JSON Lines file can be like, and what is said about it."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import IntakeError
from gateway.records.intake.json_lines import read_rows
from gateway.records.intake.lines import LINE_BYTES_MAX, SourceFile
from gateway.records.intake.rows import FIELD_CHARACTERS_MAX, Row
from gateway.records.refusal import RefusedRow
from tests.records import synthetic

GOOD = '{"learner_id":"1","record_id":"a","kind":"k","title":"t"}'
NEEDED = '"learner_id":"1","record_id":"a","kind":"k","title":"t"'


def read(folder: Path, data: str | bytes) -> list[Row | RefusedRow]:
    path = folder / "rows.jsonl"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with closing(SourceFile(path)) as source:
        return list(read_rows(source, synthetic.reading()))


def refusals(rows: list[Row | RefusedRow]) -> list[tuple[int, str, str]]:
    return [
        (refusal.line, refusal.column, refusal.reason)
        for row in rows
        if isinstance(row, RefusedRow)
        for refusal in row.refusals
    ]


@pytest.mark.parametrize("data", [GOOD, GOOD + "\n", f"\ufeff{GOOD}\r\n\n  \n"])
def test_forms_of_one_row(tmp_path: Path, data: str) -> None:
    (row,) = read(tmp_path, data)
    assert isinstance(row, Row)
    assert (row.line, row.identifier_type, row.identifier) == (1, "resident-id", "1")
    assert (row.record.record_id, row.record.kind, row.record.title) == ("a", "k", "t")


def test_originals_keep_their_order_and_text(tmp_path: Path) -> None:
    members = {
        "original.z": " 二\n\"'",
        "learner_id_type": "passport",
        **json.loads(GOOD),
        "original.a": "",
        "original.b": "1",
    }
    (row,) = read(tmp_path, json.dumps(members))
    assert isinstance(row, Row)
    assert row.identifier_type == "passport"
    assert row.record.originals == (("z", " 二\n\"'"), ("b", "1"))


NUMBER = 'a number; write it as text, such as "2.5", so that it stays exact'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f'{{{NEEDED},"credits":2.5}}', ("credits", NUMBER)),
        (f'{{{NEEDED},"credits":{"9" * 5000}}}', ("credits", NUMBER)),
        (f'{{{NEEDED},"credits":NaN}}', ("credits", NUMBER)),
        (f'{{{NEEDED},"original.x":-Infinity}}', ("original.x", NUMBER)),
        (f'{{{NEEDED},"grade":null}}', ("grade", 'null; leave the member out, or write ""')),
        (f'{{{NEEDED},"grade":true}}', ("grade", "true or false; write it as text")),
        (f'{{{NEEDED},"grade":["90"]}}', ("grade", "a list; write it as text")),
        (
            f'{{{NEEDED},"original.x":{{"y":"z"}}}}',
            ("original.x", "an object; write its members as columns of their own"),
        ),
        (f'{{{NEEDED},"grade":"a\\u0000b"}}', ("grade", "the field holds a NUL; no text has one")),
        (
            f'{{{NEEDED},"grade":"{"x" * (FIELD_CHARACTERS_MAX + 1)}"}}',
            ("grade", "the field is longer than 64 Ki characters"),
        ),
        (f'{{{NEEDED},"title":"u"}}', ("title", "the member stands twice")),
        (
            f'{{{NEEDED},"titel_en":"u"}}',
            (
                "titel_en",
                "unknown column 'titel_en'; did you mean title_en? To carry it as it is, call it original.NAME",
            ),
        ),
        ('{"learner_id":"1","record_id":"a","kind":"k"}', ("title", "the member is missing")),
        ('["a"]', ("", "the line is no JSON object")),
        ('"a"', ("", "the line is no JSON object")),
        ("1", ("", "the line is no JSON object")),
        (f"{GOOD},", ("", "no JSON: extra data at character 58 of line 2")),
        ('{"learner_id":"1"', ("", "no JSON: expecting ',' delimiter at character 18 of line 2")),
        (
            "{'a':'b'}",
            ("", "no JSON: expecting property name enclosed in double quotes at character 2 of line 2"),
        ),
        (f"{{{NEEDED},{'[' * 100_000}", ("", "no JSON that can be read: it is nested too deeply")),
        ("x\x00", ("", "character 2 of line 2 is a NUL; no text has one")),
        ("x" * LINE_BYTES_MAX, ("", "line 2 is longer than 256 KiB")),
    ],
)
def test_one_broken_row_is_named_and_the_others_are_read(
    tmp_path: Path, line: str, expected: tuple[str, str]
) -> None:
    if "[[[" in line:
        line = line.replace(f"{NEEDED},", '"learner_id":')
    rows = read(tmp_path, f"{GOOD}\n{line}\n{GOOD}\n")
    assert refusals(rows) == [(2, *expected)]
    assert sum(isinstance(row, Row) for row in rows) == 2


def test_a_value_in_the_place_of_a_name_is_not_repeated(tmp_path: Path) -> None:
    rows = read(tmp_path, f'{GOOD}\n{{{NEEDED},"990001199003071231":"x"}}\n')
    assert [(line, column) for line, column, _ in refusals(rows)] == [(2, "…")]
    assert "990001199003071231" not in str(refusals(rows))


def test_wrong_encoding_is_named_by_byte(tmp_path: Path) -> None:
    bad = b'{"learner_id":"\xff"}'
    rows = read(tmp_path, f"{GOOD}\n".encode() + bad + f"\n{GOOD}".encode())
    offset = len(GOOD) + 1 + 15
    assert refusals(rows) == [
        (2, "", f"byte {offset} of the file is not UTF-8; spreadsheets often write GB 18030")
    ]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "rows.jsonl: the file is empty."),
        (f"[{GOOD}]".encode(), "rows.jsonl: line 1: this is a JSON array."),
        (b"{\n}", "rows.jsonl: line 1: an object spans several lines."),
        (b"learner_id,record_id\n", "rows.jsonl: line 1: this is no JSON object."),
        (GOOD.encode("utf-16"), "rows.jsonl: it is UTF-16."),
        (gzip.compress(GOOD.encode(), mtime=0), "rows.jsonl: it is compressed (gzip)."),
    ],
)
def test_what_is_no_json_lines_is_refused_as_a_whole(tmp_path: Path, data: bytes, complaint: str) -> None:
    with pytest.raises(IntakeError) as caught:
        read(tmp_path, data)
    assert caught.value.message == complaint
