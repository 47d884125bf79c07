"""A record that no longer holds: said by a correction or by a ruling, seen by every asker, for good."""

from __future__ import annotations

import pytest

from creditexchange.v1 import record_pb2 as pb
from gateway.errors import CallerError
from gateway.learners.subject_token import subject_token
from gateway.records.ruling import Ruling, translate_again
from gateway.records.source import local_record_of
from gateway.schemes import parse_scheme
from tests.records.conftest import Desk, run
from tests.records.synthetic import NODE, SCHEME_FILE, SECRET, learner_id, make_row, make_rows

REVOKED = Ruling("revoked", "degree withdrawn", "2026-03-01")


def answered(desk: Desk, number: int = 0) -> pb.LearningRecord:
    """The record as the answering side reads it."""
    token = subject_token(SECRET, "resident-id", learner_id(number // 10))
    (records,) = desk.registry.find([token], [pb.RECORD_KIND_COURSE])
    found = next(record for record in records if record.record_id == f"ZJ-{number:08d}")
    return pb.LearningRecord.FromString(found.translated)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("撤销", pb.RECORD_STATE_REVOKED),
        ("暂停", pb.RECORD_STATE_SUSPENDED),
        ("已更正", pb.RECORD_STATE_SUPERSEDED),
    ],
)
def test_a_correction_of_the_status_is_taken_without_replace(any_desk: Desk, word: str, state: int) -> None:
    any_desk.take_rows(list(make_rows(3)))
    corrected = make_row(1) | {"status": word, "status_since": "2026-03"}
    for replaced, unchanged in ((1, 0), (0, 1)):
        report = any_desk.take_text(_jsonl(corrected), "correction.jsonl")
        assert (report.kept, report.replaced, report.unchanged) == (True, replaced, unchanged), any_desk.seen
    assert answered(any_desk, 1).status.state == state
    assert answered(any_desk, 1).status.as_issued == word
    assert answered(any_desk, 0).status.state == pb.RECORD_STATE_VALID


def test_the_way_back_and_any_other_change_need_replace(desk: Desk) -> None:
    desk.take_rows([make_row(1) | {"status": "撤销"}])
    assert not desk.take_rows([make_row(1)]).kept
    assert "another status" in desk.seen[0][2]
    assert not desk.take_rows([make_row(1) | {"status": "暂停", "grade": "60"}]).kept
    assert answered(desk, 1).status.state == pb.RECORD_STATE_REVOKED
    assert desk.take_rows([make_row(1)], replace=True).kept
    assert answered(desk, 1).status.state == pb.RECORD_STATE_VALID


def test_a_ruling_is_seen_and_outlives_import_replacement_and_another_scheme(any_desk: Desk) -> None:
    desk = any_desk
    desk.take_rows(list(make_rows(2)))
    assert desk.registry.rule("ZJ-00000001", REVOKED, desk.scheme, NODE)
    assert not desk.registry.rule("ZJ-00000001", REVOKED, desk.scheme, NODE)
    desk.take_rows(list(make_rows(2)))
    desk.take_rows([make_row(1) | {"grade": "61"}], replace=True)
    record = answered(desk, 1)
    assert record.grade.as_issued == "61"
    assert record.status.state == pb.RECORD_STATE_REVOKED
    assert record.status.as_issued == "有效", "what the source wrote stays"
    assert (record.status.since.year, record.status.since.month, record.status.since.day) == (2026, 3, 1)
    assert [step.note for step in record.trace if step.rule == "registry/ruling"] == ["degree withdrawn"]
    assert answered(desk, 0).status.state == pb.RECORD_STATE_VALID

    text = SCHEME_FILE.read_text().replace('version = "2026.1"', 'version = "2026.2"')
    newer = parse_scheme(text, "scheme.toml")
    stored = next(record for record in desk.registry.list_() if record.record_id == "ZJ-00000001")
    again = translate_again(local_record_of(stored), stored.translated, newer, NODE)
    assert again.scheme.version == "2026.2"
    assert again.status.state == pb.RECORD_STATE_REVOKED
    assert desk.take_rows(list(make_rows(1)), scheme=newer).kept
    assert desk.registry.rule("ZJ-00000001", None, newer, NODE)
    assert not desk.registry.rule("ZJ-00000001", None, newer, NODE)
    assert answered(desk, 1).status.state == pb.RECORD_STATE_VALID


def test_the_commands(opened: Desk) -> None:
    opened.take_rows(list(make_rows(3)))
    first = run("revoke", "ZJ-00000001", "--reason", "degree withdrawn")
    again = run("revoke", "ZJ-00000001", "--reason", "degree withdrawn")
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert first.stdout == "ZJ-00000001: revoked\n"
    assert "nothing changed" in again.stdout
    run(
        "revoke",
        "ZJ-00000002",
        "--reason",
        "title",
        "--state",
        "superseded",
        "--superseded-by",
        "ZJ-00000000",
    )
    assert answered(opened, 1).status.state == pb.RECORD_STATE_REVOKED
    assert answered(opened, 2).status.superseded_by == "ZJ-00000000"
    assert "restored" in run("restore", "ZJ-00000001").stdout
    assert "nothing changed" in run("restore", "ZJ-00000001").stdout
    assert answered(opened, 1).status.state == pb.RECORD_STATE_VALID


@pytest.mark.parametrize(
    "arguments",
    [
        ("ZJ-9", "--reason", "x"),
        ("ZJ-00000001", "--reason", " "),
        ("ZJ-00000001", "--reason", "x", "--state", "gone"),
        ("ZJ-00000001", "--reason", "x", "--since", "yesterday"),
        ("ZJ-00000001", "--reason", "x", "--superseded-by", "ZJ-2"),
        ("ZJ-00000001", "--reason", "x", "--state", "superseded"),
        ("ZJ-00000001", "--reason", f"see {learner_id(1)}"),
    ],
)
def test_rulings_that_cannot_be(opened: Desk, arguments: tuple[str, ...]) -> None:
    opened.take_rows(list(make_rows(3)))
    with pytest.raises(CallerError):
        run("revoke", *arguments)
    assert answered(opened, 1).status.state == pb.RECORD_STATE_VALID


def _jsonl(row: dict[str, str]) -> str:
    import json

    return json.dumps(row, ensure_ascii=False) + "\n"
