"""An import keeps a file whole or not at all, says everything that is wrong, and can be repeated."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from creditexchange.v1.record_pb2 import LearningRecord
from gateway.errors import CallerError, IntakeError, StorageError
from gateway.learners.subject_token import FederationSecret, subject_token
from gateway.records import Refusal, local_record_of
from gateway.records.importing import BATCH_ROWS
from gateway.storage.engine import open_engine
from tests.records.conftest import NOW, Desk
from tests.records.synthetic import (
    SECRET,
    learner_id,
    make_row,
    make_rows,
    write_csv,
    write_json_lines,
)

KINDS = range(1, 13)
LEARNER = learner_id(0)


def row(number: int = 0, **changes: str) -> dict[str, str]:
    return make_row(number) | changes


def test_a_file_is_imported_and_every_record_found(any_desk: Desk) -> None:
    report = any_desk.take_rows(list(make_rows(25)))
    assert (report.rows, report.added, report.refused, report.kept) == (25, 25, 0, True)
    token = subject_token(SECRET, "resident-id", LEARNER)
    (found,) = any_desk.registry.find([token], KINDS)
    assert [record.record_id for record in found] == [f"ZJ-{n:08d}" for n in range(10)]
    shared = LearningRecord.FromString(found[3].translated)
    assert shared.record_id == found[3].record_id
    assert shared.source_node == "zhejiang"
    assert shared.kind == found[3].kind
    assert found[3].scheme_digest == any_desk.scheme.reference.digest
    assert local_record_of(found[3]).title == make_row(3)["title"]


def test_json_lines_and_csv_make_the_same_records(desk: Desk) -> None:
    rows = list(make_rows(20))
    assert desk.take(write_csv(desk.folder / "a.csv", rows)).added == 20
    assert desk.take(write_json_lines(desk.folder / "a.jsonl", rows)).unchanged == 20


def test_the_import_is_noted_with_name_digest_and_times(desk: Desk) -> None:
    from hashlib import sha256

    path = write_csv(desk.folder / "a.csv", make_rows(3))
    desk.take(path)
    (noted,) = desk.registry.imports()
    assert (noted.file_name, noted.rows, noted.state) == ("a.csv", 3, "complete")
    assert noted.file_digest == sha256(path.read_bytes()).digest()
    assert noted.started_at == noted.finished_at == int(NOW.timestamp() * 1000)


def test_the_same_file_again_changes_nothing(any_desk: Desk) -> None:
    path = write_csv(any_desk.folder / "a.csv", make_rows(BATCH_ROWS + 5))
    any_desk.take(path)
    before = any_desk.registry.list_(limit=1000), any_desk.registry.imports()
    report = any_desk.take(path)
    assert (report.added, report.unchanged, report.replaced, report.refused) == (0, BATCH_ROWS + 5, 0, 0)
    assert (any_desk.registry.list_(limit=1000), any_desk.registry.imports()) == before


def test_new_rows_are_added_to_a_file_that_grew(desk: Desk) -> None:
    desk.take_rows(list(make_rows(3)))
    report = desk.take_rows(list(make_rows(5)))
    assert (report.added, report.unchanged) == (2, 3)


def test_one_refused_row_keeps_all_others_out(any_desk: Desk) -> None:
    rows = list(make_rows(BATCH_ROWS * 2))
    rows[BATCH_ROWS + 1]["award_date"] = "2024-02-30"
    report = any_desk.take_rows(rows)
    assert any_desk.seen == [(BATCH_ROWS + 3, "award_date", "no such day between 1900 and 2100")]
    assert (report.rows, report.refused, report.added, report.kept) == (BATCH_ROWS * 2, 1, 0, False)
    assert any_desk.registry.count() == 0
    assert any_desk.registry.imports() == []
    assert any_desk.take_rows(list(make_rows(4))).added == 4


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"learner_id": LEARNER[:-1] + ("0" if LEARNER[-1] != "0" else "1")},
            ("learner_id", "check character"),
        ),
        ({"learner_id": "99000119900307"}, ("learner_id", "18 characters")),
        ({"learner_id": ""}, ("learner_id", "it is empty")),
        ({"learner_id": "9.90001E+17"}, ("learner_id", "a spreadsheet rounded the identifier")),
        ({"learner_id_type": "tax-number"}, ("learner_id_type", "unknown type of identifier; use one of")),
        ({"record_id": ""}, ("record_id", "it is empty")),
        ({"record_id": " x"}, ("record_id", "begins or ends with a blank")),
        ({"record_id": "a\tb"}, ("record_id", "control character")),
        ({"record_id": "x" * 201}, ("record_id", "longer than 200 characters")),
        ({"title": " "}, ("title", "it is empty")),
        ({"kind": "博士后"}, ("kind", "unknown kind; the scheme knows: ")),
        ({"kind": ""}, ("kind", "unknown kind")),
        ({"award_date": "2024/01/02"}, ("award_date", "YYYY, YYYY-MM or YYYY-MM-DD")),
        ({"award_date": "202401"}, ("award_date", "YYYY, YYYY-MM or YYYY-MM-DD")),
        ({"start_date": "2024-13"}, ("start_date", "no such day between 1900 and 2100")),
        ({"end_date": "1899"}, ("end_date", "between 1900 and 2100")),
        ({"start_date": "2024", "end_date": "2023"}, ("end_date", "before start_date")),
        ({"credits": "2,5"}, ("credits", "write digits with a point")),
        ({"credits": "２.５"}, ("credits", "write digits with a point")),
        ({"credits": "1e3"}, ("credits", "write digits with a point")),
        ({"credits": "NaN"}, ("credits", "write digits with a point")),
        ({"credits": "-1"}, ("credits", "write digits with a point")),
        ({"credits": "1000000000000"}, ("credits", "write digits with a point")),
        ({"hours": "4 8"}, ("hours", "write digits with a point")),
        ({"attempt": "twice"}, ("attempt", "a whole number")),
        ({"original.term": "x" * 40_000, "title_en": "y" * 40_000}, ("", "longer than 64 KiB")),
        ({"original.term": f"id={LEARNER}"}, ("original.term", "it holds the learner's identifier")),
        ({"original.term": LEARNER.lower()}, ("original.term", "it holds the learner's identifier")),
        ({"course_code": LEARNER[:6] + LEARNER[8:17]}, ("course_code", "it holds the learner's identifier")),
    ],
)
def test_a_wrong_value_is_named_by_line_and_column(
    desk: Desk, changes: dict[str, str], expected: tuple[str, str]
) -> None:
    desk.take_rows([row(0), row(1, **changes), row(2)])
    assert len(desk.refusals) == 1, desk.refusals
    refusal = desk.refusals[0]
    assert (refusal.line, refusal.column) == (3, expected[0])
    assert expected[1] in refusal.reason
    value = next(iter(changes.values())).strip()
    assert len(value) < 4 or value not in refusal.reason
    assert desk.registry.count() == 0


def test_everything_wrong_in_a_row_is_named(desk: Desk) -> None:
    wrong = row(0, learner_id="1", kind="?", credits="x", award_date="y", attempt="z")
    report = desk.take_rows([wrong, row(1)])
    assert [column for _, column, _ in desk.seen] == [
        "learner_id",
        "kind",
        "award_date",
        "credits",
        "attempt",
    ]
    assert (report.rows, report.refused) == (2, 1)


def test_a_half_surrogate_is_no_text(desk: Desk) -> None:
    desk.take(write_escaped(desk.folder / "a.jsonl", row(0, holder_name="\ud842", credits="x")))
    assert ("holder_name", True) in [(r.column, "half a surrogate pair" in r.reason) for r in desk.refusals]


def write_escaped(path: Path, *rows: dict[str, str]) -> Path:
    import json

    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="ascii")
    return path


def test_every_refused_row_is_reported_in_order(desk: Desk) -> None:
    rows = list(make_rows(BATCH_ROWS * 2 + 10))
    for number in range(0, len(rows), 7):
        rows[number]["credits"] = "many"
    rows[8]["record_id"] = rows[1]["record_id"]
    report = desk.take_rows(rows)
    lines = [line for line, _, _ in desk.seen]
    assert lines == sorted([*range(2, len(rows) + 2, 7), 10])
    assert report.refused == len(lines)


@pytest.mark.parametrize("distance", [1, BATCH_ROWS + 1], ids=["in one batch", "in two batches"])
def test_a_record_may_stand_once_in_a_file(any_desk: Desk, distance: int) -> None:
    rows = list(make_rows(BATCH_ROWS + 3))
    rows[1 + distance]["record_id"] = rows[1]["record_id"]
    any_desk.take_rows(rows)
    assert any_desk.seen == [
        (3 + distance, "record_id", "line 3 has this record_id already; each may stand once")
    ]


def test_other_content_is_refused_and_named(any_desk: Desk) -> None:
    any_desk.take_rows([row(0), row(1)])
    report = any_desk.take_rows([row(0), row(1, grade="99", status="", **{"original.term": "z"})])
    reason = "the registry holds this record with another grade, status, originals; use --replace if"
    assert any_desk.seen == [(3, "record_id", f"{reason} the new row is right")]
    assert report.refused == 1


def test_other_content_is_taken_with_replace(any_desk: Desk) -> None:
    any_desk.take_rows([row(0), row(1), row(2)])
    report = any_desk.take_rows([row(0), row(1, grade="99"), row(30)], replace=True)
    assert (report.added, report.unchanged, report.replaced, report.refused) == (1, 1, 1, 0)
    kept = {record.record_id: local_record_of(record).grade for record in any_desk.registry.list_()}
    assert kept[row(1)["record_id"]] == "99"
    assert len(kept) == 4


def test_a_record_of_another_learner_is_refused_as_such(desk: Desk) -> None:
    desk.take_rows([row(0)])
    desk.take_rows([row(0, learner_id=learner_id(77))])
    assert [reason for _, _, reason in desk.seen] == [
        "the registry holds this record for another learner; use --replace if the new row is right"
    ]
    desk.take_rows([row(0, learner_id=learner_id(77))], replace=True)
    old, new = (subject_token(SECRET, "resident-id", learner_id(n)) for n in (0, 77))
    assert [len(records) for records in desk.registry.find([old, new], KINDS)] == [0, 1]


def test_another_epoch_is_refused_as_such_and_taken_with_replace(desk: Desk) -> None:
    desk.take_rows([row(0)])
    secret = FederationSecret("2027", bytes(32))
    desk.take_rows([row(0)], secret=secret)
    assert [reason for _, _, reason in desk.seen] == [
        "the registry holds this record under epoch 2026; use --replace if the new row is right"
    ]
    assert desk.take_rows([row(0)], secret=secret, replace=True).replaced == 1
    assert desk.registry.find([subject_token(secret, "resident-id", LEARNER)], KINDS)[0]


def test_another_scheme_translates_unchanged_records_anew(desk: Desk) -> None:
    desk.take_rows([row(0), row(1)])
    reference = type(desk.scheme.reference)()
    reference.CopyFrom(desk.scheme.reference)
    reference.version, reference.digest = "2027.1", b"n" * 32
    newer = dataclasses.replace(desk.scheme, reference=reference)
    report = desk.take_rows([row(0), row(1)], scheme=newer)
    assert (report.unchanged, report.refused) == (2, 0)
    (record, _) = desk.registry.list_()
    assert record.scheme_digest == b"n" * 32
    assert LearningRecord.FromString(record.translated).scheme.version == "2027.1"


def test_one_learner_written_differently_is_one_learner(desk: Desk) -> None:
    numbers = (n for n in range(10_000) if learner_id(n).endswith("X"))
    learner = learner_id(next(numbers))
    desk.take_rows([row(0, learner_id=learner), row(1, learner_id=f" {learner.lower()}")])
    (found,) = desk.registry.find([subject_token(SECRET, "resident-id", learner)], KINDS)
    assert len(found) == 2


def test_progress_tells_bytes_and_rows(desk: Desk) -> None:
    path = write_csv(desk.folder / "a.csv", make_rows(BATCH_ROWS + 1))
    told: list[tuple[int, int, int]] = []
    desk.take(path, progress=lambda *facts: told.append(facts))
    size = path.stat().st_size
    assert [(total, rows) for _, total, rows in told] == [(size, BATCH_ROWS), (size, BATCH_ROWS + 1)]
    assert told[0][0] < told[1][0] == size


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("rows.pdf", "x", "rows.pdf: unknown kind of file '.pdf'"),
        ("rows.csv", "learner_id;record_id\n", "separated by semicolons"),
        ("rows.csv", "", "the file is empty"),
    ],
)
def test_a_file_refused_as_a_whole_is_an_intake_error(desk: Desk, name: str, text: str, error: str) -> None:
    with pytest.raises(IntakeError, match=re.escape(error)):
        desk.take_text(text, name)
    assert desk.registry.count() == 0
    assert desk.take_rows([row(0)]).added == 1


def test_a_missing_file_is_the_callers_mistake(desk: Desk) -> None:
    with pytest.raises(CallerError, match="No such file"):
        desk.take(desk.folder / "none.csv")


def test_an_interrupted_import_keeps_nothing(any_desk: Desk) -> None:
    path = write_csv(any_desk.folder / "a.csv", make_rows(BATCH_ROWS * 3))

    def interrupt(_done: int, _total: int, rows: int) -> None:
        if rows == BATCH_ROWS * 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        any_desk.take(path, progress=interrupt)
    assert any_desk.registry.count() == 0
    assert any_desk.registry.imports() == []
    assert any_desk.take(path).added == BATCH_ROWS * 3


KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.clock import system_clock
from gateway.records import Registry, import_file
from gateway.storage.engine import open_engine
from tests.records import synthetic

def progress(done, total, rows):
    if rows >= 2000:
        os.kill(os.getpid(), signal.SIGKILL)

import_file(Path(sys.argv[1]), Registry(open_engine(sys.argv[2])), synthetic.scheme(), synthetic.SECRET,
    synthetic.NODE, system_clock, progress)
"""


def test_a_killed_import_keeps_nothing(any_desk: Desk) -> None:
    path = write_csv(any_desk.folder / "a.csv", make_rows(BATCH_ROWS * 3))
    url = any_desk.database.url.render_as_string(hide_password=False)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, path, url], cwd=Path(__file__).parents[2], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert any_desk.registry.count() == 0
    assert any_desk.registry.imports() == []


def test_one_import_at_a_time(any_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.storage.engine.BUSY_TIMEOUT_MS", 1)
    other = open_engine(any_desk.database.url.render_as_string(hide_password=False))
    second = dataclasses.replace(any_desk, registry=type(any_desk.registry)(other))
    path = write_csv(any_desk.folder / "a.csv", make_rows(3))

    def interfere(_done: int, _total: int, _rows: int) -> None:
        with pytest.raises(StorageError, match=r"another (import|process)"):
            second.take(path)

    assert any_desk.take(path, progress=interfere).added == 3
    other.dispose()


def test_a_full_disk_is_a_storage_error_and_keeps_nothing(desk: Desk) -> None:
    with desk.database.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        limit = f"PRAGMA max_page_count = {pages + 5}"
        connection.rollback()
    _on_connect(desk, limit)
    with pytest.raises(StorageError, match="the disk is full"):
        desk.take_rows(list(make_rows(200)))
    assert desk.registry.count() == 0


def test_a_read_only_database_is_a_storage_error(desk: Desk) -> None:
    _on_connect(desk, "PRAGMA query_only = ON")
    with pytest.raises(StorageError, match="read-only"):
        desk.take_rows([row(0)])


def _on_connect(desk: Desk, statement: str) -> None:
    from sqlalchemy import event

    desk.database.dispose()

    def prepare(connection: Any, _record: Any) -> None:
        connection.execute(statement)

    event.listen(desk.database, "connect", prepare)


def test_a_defect_in_a_callback_keeps_nothing(desk: Desk) -> None:
    def fail(_refusal: Refusal) -> None:
        raise OSError("the report cannot be written")

    with pytest.raises(OSError, match="the report"):
        desk.take_rows([row(0), row(1, credits="x")], report=fail)
    assert desk.registry.count() == 0
