"""Identifiers of learners are kept nowhere: not in the database's files, not in what is reported."""

from __future__ import annotations

import pytest

from gateway.records.intake.rows import Row
from gateway.schemes import LocalRecord
from tests.records.conftest import Desk
from tests.records.synthetic import learner_id, make_row, make_rows, write_csv


def files_of(desk: Desk) -> bytes:
    return b"".join(path.read_bytes() for path in desk.folder.iterdir() if path.name.startswith("records.db"))


def test_no_identifier_is_in_the_files_of_the_database(desk: Desk) -> None:
    desk.take_rows(list(make_rows(500)))
    wrong = [row | {"credits": "x"} for row in make_rows(700)]
    desk.take_rows(wrong)
    held = files_of(desk)
    assert make_row(3)["title"].encode() in held
    for number in range(70):
        learner = learner_id(number)
        for form in (learner, learner[:17], learner[:6] + learner[8:17], learner.lower()):
            assert form.encode() not in held
            assert form.encode("utf-16-le") not in held


def test_an_identifier_in_the_files_name_is_not_kept(desk: Desk) -> None:
    desk.take(write_csv(desk.folder / f"{learner_id(1)}-2026.csv", make_rows(3)))
    (noted,) = desk.registry.imports()
    assert noted.file_name == "…-2026.csv"
    assert learner_id(1).encode() not in files_of(desk)


@pytest.mark.parametrize(
    "column", ["learner_id_type", "kind", "award_date", "credits", "attempt", "grade_scale"]
)
def test_an_identifier_in_the_wrong_column_is_not_repeated(desk: Desk, column: str) -> None:
    wrong = make_row(0) | {column: learner_id(5)}
    desk.take_rows([wrong])
    assert column in [refusal.column for refusal in desk.refusals]
    assert learner_id(5) not in str(desk.refusals)


def test_an_identifier_of_another_type_is_found_in_other_columns(desk: Desk) -> None:
    row = make_row(0) | {
        "learner_id_type": "student-number",
        "learner_id": "s2015-0042",
        "record_id": "S2015-0042-CS101",
    }
    desk.take_rows([row])
    assert [(r.line, r.column) for r in desk.refusals] == [(2, "record_id")]
    short = row | {"learner_id": "2015", "record_id": "CS101", "original.term": "2015"}
    desk.take_rows([short])
    assert [(r.line, r.column) for r in desk.refusals] == [(2, "original.term")]
    assert desk.take_rows([short | {"original.term": "2015-1", "award_date": "2015"}]).added == 1


def test_a_row_shows_its_line_only() -> None:
    row = Row(7, "resident-id", learner_id(1), LocalRecord("a", "b", "c", holder_name="林思雨"))
    assert f"{row!r} {row}" == "Row(line=7) Row(line=7)"
