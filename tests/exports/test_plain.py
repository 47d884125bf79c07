"""Tables and JSON: nothing in them is a formula, and no number went through a float."""

from __future__ import annotations

import csv
import io
import json

import pytest

from creditexchange.v1 import record_pb2 as pb
from gateway.errors import CallerError
from tests.exports.documents import Office, archive, record


def rows(content: bytes) -> list[dict[str, str]]:
    assert content.startswith(b"\xef\xbb\xbf"), "spreadsheets take it for UTF-8"
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def test_a_table_has_a_row_for_each_record_as_it_was_issued(desk: Office) -> None:
    first, second = rows(desk.export("csv", record(1), record(2)))
    assert (first["record_id"], second["record_id"]) == ("ZJ1", "ZJ2")
    assert first["credits"] == "2.5学分"
    assert (first["study_hours"], first["grade"], first["state"]) == ("40", "89.5", "valid")
    assert first["end_date"] == "2024-01", "no day is made up"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(desk: Office, start: str) -> None:
    attack = f'{start}HYPERLINK("http://evil.example","x")'
    made = record(holder_name=attack)
    made.titles[0].text = attack
    made.credits[0].as_issued = attack
    for cell in rows(desk.export("csv", made))[0].values():
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_json_says_what_was_issued_and_what_it_is_here(desk: Office) -> None:
    made = json.loads(desk.export("json"))
    (only,) = made["records"]
    assert only["credit"][0]["amount"] == "2.5"
    assert only["here"]["credits"][0]["value"] == "2.5"
    assert only["here"]["scheme"].startswith("zhejiang ")
    assert made["exported_by"] == "zhejiang"


def test_rare_characters_survive(desk: Office) -> None:
    made = record(holder_name="𠮷田\ue000")
    assert rows(desk.export("csv", made))[0]["holder_name"] == "𠮷田\ue000"
    assert json.loads(desk.export("json", made))["records"][0]["holderName"] == "𠮷田\ue000"


def test_what_cannot_be_exported_is_said_with_what_there_is(desk: Office) -> None:
    two = archive(record(1), record(2))
    with pytest.raises(CallerError, match=r"one record, and there are 2.*zhejiang/ZJ1, zhejiang/ZJ2"):
        desk.exporting.export(two, "vc")
    with pytest.raises(CallerError, match=r"no record 'ZJ9'.*ZJ1, ZJ2"):
        desk.exporting.export(two, "vc", "ZJ9")
    assert desk.exporting.export(two, "vc", "zhejiang/ZJ2").record_count == 1
    with pytest.raises(CallerError, match="no records to export"):
        desk.exporting.export(archive(), "csv")
    with pytest.raises(CallerError, match="no format 'docx'"):
        desk.exporting.export(two, "docx")


def test_a_record_of_nothing_but_its_id_can_be_exported(desk: Office) -> None:
    bare = pb.LearningRecord(record_id="X", source_node="zhejiang")
    for form in ("vc", "clr", "elmo", "csv", "json", "pdf"):
        assert desk.export(form, bare)
