"""The three spreadsheets that universities upload, as CSV and XLSX, with the defects of practice."""

from __future__ import annotations

import csv
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from creditexchange.v1 import record_pb2 as pb
from gateway.errors import IntakeError
from gateway.learners.subject_token import subject_token
from gateway.records import ImportFacts
from gateway.records.intake.formats import open_records
from gateway.records.intake.rows import Reading
from gateway.records.source import local_record_of
from tests.records.conftest import NOW, Desk, run
from tests.records.synthetic import RECORDS_KEY, SECRET, learner_id, make_row

FACTS = ImportFacts(
    RECORDS_KEY, issuer_name="浙江示例大学", issuer_code="99999", issuer_code_scheme="moe-school"
)

OWN = {
    "姓名": "林思雨",
    "身份证号": learner_id(1),
    "专业名称": "待补",
    "课程名称": "高等数学",
    "教育层次代码": "本科",
    "教育类别代码": "31",
    "学分": "2.5",
    "学时": "48",
    "成绩": "89.5",
    "获得时间": "202406",
    "届别": "2024",
    "毕业结业肄业": "毕业",
    "毕业季": "1321",
    "备注": "",
    "学号": "2020314159",
}
OTHER = {
    "姓名": "林思雨",
    "身份证号": learner_id(1),
    "转换学校代码": "99999",
    "原课程来源代码": "01",
    "原专业名称": "会计学",
    "原课程名称": "线性代数",
    "原办学机构": "安徽示例大学",
    "原教育层次代码": "20",
    "原教育类别代码": "31",
    "原学分": "3",
    "原学时": "54",
    "原成绩": "优秀",
    "转换后教育层次代码": "本科",
    "转换后课程代码": "MA102",
    "转换后课程名称": "线性代数（甲）",
    "转换后学分": "2.5",
    "转换时间": "2024-07-01",
    "转换后专业名称": "会计学",
    "学号": "2020314159",
}
CERTIFICATE = {
    "姓名": "林思雨",
    "身份证号": learner_id(1),
    "原证书来源代码": "02",
    "原证书类型": "无",
    "原证书名称": "育婴员",
    "原证书等级": "85",
    "原发证机构": "浙江示例鉴定中心",
    "转换后学分": "",
    "学时": "",
    "成绩": "无",
    "专业名称": "待补",
    "获得时间": "202311",
}

Write = Callable[[Path, list[dict[str, Any]]], Path]


def write_csv(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "upload.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_xlsx(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "upload.xlsx"
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(rows[0]))
    for row in rows:
        sheet.append([value if value != "" else None for value in row.values()])
    book.create_sheet("空")
    book.save(path)
    return path


@pytest.fixture(params=[write_csv, write_xlsx], ids=["csv", "xlsx"])
def write(request: pytest.FixtureRequest) -> Write:
    return request.param  # type: ignore[no-any-return]


def shared_of(desk: Desk) -> list[pb.LearningRecord]:
    return [pb.LearningRecord.FromString(record.translated) for record in desk.registry.list_()]


def originals_of(record: pb.LearningRecord) -> dict[str, str]:
    return {original.name: original.value for original in record.originals}


def test_an_own_course(desk: Desk, write: Write) -> None:
    assert desk.take(write(desk.folder, [OWN]), facts=FACTS).kept, desk.seen
    (record,) = shared_of(desk)
    assert record.kind == pb.RECORD_KIND_COURSE
    assert record.titles[0].text == "高等数学"
    assert record.credits[0].amount == "2.5"
    assert (record.workloads[0].amount, record.workloads[0].hour_kind) == ("48", pb.HOUR_KIND_CLASS)
    assert record.grade.as_issued == "89.5"
    assert (record.award_date.year, record.award_date.month, record.award_date.day) == (2024, 6, 0)
    assert record.issuers[0].names[0].text == "浙江示例大学"
    assert (
        originals_of(record).items()
        >= {
            "获得时间": "202406",
            "专业名称": "待补",
            "毕业季": "1321",
            "毕业结业肄业": "毕业",
            "届别": "2024",
            "教育类别代码": "31",
        }.items()
    )
    token = subject_token(SECRET, "resident-id", learner_id(1))
    assert len(desk.registry.find([token], [pb.RECORD_KIND_COURSE])[0]) == 1


def test_a_course_of_another_school_is_what_it_was_converted_to(desk: Desk, write: Write) -> None:
    assert desk.take(write(desk.folder, [OTHER]), facts=FACTS).kept, desk.seen
    (record,) = shared_of(desk)
    assert record.titles[0].text == "线性代数（甲）"
    assert record.specification.code == "MA102"
    assert record.credits[0].amount == "2.5"
    assert not record.grade.as_issued, "the other school's grade is not this school's"
    assert record.issuers[0].role == pb.ISSUER_ROLE_RECOGNISED
    for name in ("原课程名称", "原办学机构", "原学分", "原学时", "原成绩", "原教育层次代码"):
        assert originals_of(record)[name] == OTHER[name]


def test_a_course_that_nobody_converted_is_the_other_schools(desk: Desk, write: Write) -> None:
    row = OTHER | dict.fromkeys([name for name in OTHER if name.startswith("转换")], "")
    assert desk.take(write(desk.folder, [row]), facts=FACTS).kept, desk.seen
    (record,) = shared_of(desk)
    assert record.titles[0].text == "线性代数"
    assert record.issuers[0].names[0].text == "安徽示例大学"
    assert record.grade.as_issued == "优秀"


def test_a_certificate_with_placeholders(desk: Desk, write: Write) -> None:
    assert desk.take(write(desk.folder, [CERTIFICATE]), facts=FACTS).kept, desk.seen
    (record,) = shared_of(desk)
    assert record.kind == pb.RECORD_KIND_VOCATIONAL_QUALIFICATION
    assert record.issuers[0].names[0].text == "浙江示例鉴定中心"
    assert not record.levels, "85 stands for every level, and so for none"
    assert (
        originals_of(record).items() >= {"原证书等级": "85", "原证书类型": "无", "专业名称": "待补"}.items()
    )


def test_no_credit_for_a_certificate_is_kept_as_written_and_not_taken_for_an_amount(
    desk: Desk, write: Write
) -> None:
    row = CERTIFICATE | {"转换后课程名称": "婴幼儿护理", "转换后课程代码": "HL201", "转换后学分": "0"}
    assert desk.take(write(desk.folder, [row]), facts=FACTS).kept, desk.seen
    (record,) = shared_of(desk)
    assert not record.credits
    assert originals_of(record)["转换后学分"] == "0"


def test_every_cell_ends_in_the_record_or_only_as_a_digest(desk: Desk, write: Write) -> None:
    for row in (OWN, OTHER, CERTIFICATE):
        assert desk.take(write(desk.folder, [row]), facts=FACTS).kept, desk.seen
    kept = b"".join(record.original for record in desk.registry.list_()).decode()
    for row in (OWN, OTHER, CERTIFICATE):
        for name, value in row.items():
            assert (value in kept) == (name not in ("身份证号", "学号")) or not value, name
    assert kept.count("hmac-sha256:") == 2


def test_the_same_upload_again_changes_nothing_and_a_corrected_grade_is_the_same_record(
    desk: Desk, write: Write
) -> None:
    assert desk.take(write(desk.folder, [OWN]), facts=FACTS).added == 1
    assert desk.take(write(desk.folder, [OWN]), facts=FACTS).unchanged == 1
    corrected = write(desk.folder, [OWN | {"成绩": "90"}])
    assert not desk.take(corrected, facts=FACTS).kept
    assert "another grade" in desk.seen[0][2]
    assert desk.take(corrected, facts=FACTS, replace=True).replaced == 1
    assert [record.grade.as_issued for record in shared_of(desk)] == ["90"]


def test_two_courses_and_two_learners_are_different_records(desk: Desk, write: Write) -> None:
    rows = [OWN, OWN | {"课程名称": "大学物理"}, OWN | {"身份证号": learner_id(2)}]
    assert desk.take(write(desk.folder, rows), facts=FACTS).added == 3
    assert not desk.take(write(desk.folder, [OWN, OWN | {"成绩": "60"}]), facts=FACTS).kept
    assert "each may stand once" in desk.seen[-1][2]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("身份证号", "990001199003071230", "check character"),
        ("学分", "2,5", "character 2 is ','"),
        ("获得时间", "去年", "YYYY-MM"),
        ("获得时间", "20240", "YYYY-MM"),
        ("备注", f"补录 {learner_id(1)}", "learner's identifier"),
    ],
)
def test_what_is_wrong_is_named_by_the_uploads_own_column(
    desk: Desk, write: Write, column: str, value: str, reason: str
) -> None:
    report = desk.take(write(desk.folder, [OWN, OWN | {"课程名称": "大学物理", column: value}]), facts=FACTS)
    assert (report.kept, report.refused) == (False, 1)
    ((line, named, why),) = desk.seen
    assert line == 3
    assert named.removeprefix("original.") == column
    assert reason in why
    assert desk.registry.count() == 0


def test_a_conversion_without_its_course_is_refused(desk: Desk, write: Write) -> None:
    assert not desk.take(write(desk.folder, [OTHER | {"转换后课程名称": ""}]), facts=FACTS).kept
    assert desk.seen[0][1] == "转换后课程名称"


def test_the_scheme_decides_what_a_mark_in_place_of_a_grade_means(desk: Desk, write: Write) -> None:
    assert desk.take(write(desk.folder, [OWN | {"成绩": "免修"}]), facts=FACTS).kept
    assert shared_of(desk)[0].grade.status == pb.GRADE_STATUS_EXEMPT


def test_a_column_that_no_layout_has_refuses_the_file(desk: Desk, write: Write) -> None:
    with pytest.raises(IntakeError, match="unknown column '绩点'"):
        desk.take(write(desk.folder, [OWN | {"绩点": "4.0"}]), facts=FACTS)
    with pytest.raises(IntakeError, match="missing column 身份证号"):
        desk.take(write(desk.folder, [{k: v for k, v in OWN.items() if k != "身份证号"}]), facts=FACTS)
    with pytest.raises(IntakeError, match="records key"):
        desk.take(write(desk.folder, [OWN]))


@pytest.mark.parametrize(
    ("text", "month"), [("202406", 6), ("2024-6", 6), ("2024/06", 6), ("2024年6月", 6), ("2024", 0)]
)
def test_forms_of_a_month(desk: Desk, text: str, month: int) -> None:
    assert desk.take(write_csv(desk.folder, [OWN | {"获得时间": text}]), facts=FACTS).kept, desk.seen
    (record,) = shared_of(desk)
    assert (record.award_date.year, record.award_date.month, record.award_date.day) == (2024, month, 0)


def test_numbers_and_dates_of_a_workbook(desk: Desk) -> None:
    row = OWN | {"学分": 0.1 + 0.2, "学时": 48, "成绩": 89.5, "获得时间": datetime(2024, 6, 3)}  # noqa: DTZ001
    assert desk.take(write_xlsx(desk.folder, [row]), facts=FACTS).kept, desk.seen
    (record,) = shared_of(desk)
    assert record.credits[0].amount == "0.3"
    assert record.workloads[0].amount == "48"
    assert (record.award_date.month, record.award_date.day) == (6, 3)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("身份证号", 990001199003071231, "more than 15 digits"),
        ("学分", "=1+1", "a formula"),
        ("备注", "#N/A", "an error value"),
        ("备注", True, "true or false"),
    ],
)
def test_cells_that_are_no_values(desk: Desk, column: str, value: object, reason: str) -> None:
    assert not desk.take(write_xlsx(desk.folder, [OWN | {column: value}]), facts=FACTS).kept
    ((line, named, why),) = desk.seen
    assert (line, named) == (2, column)
    assert reason in why


def test_a_workbook_in_the_record_layout(desk: Desk) -> None:
    assert desk.take(write_xlsx(desk.folder, [make_row(number) for number in range(30)])).added == 30


def as_excel_writes(path: Path) -> Path:
    """Move the texts of a workbook into the shared table, as Excel does."""
    texts: list[bytes] = []

    def shared(match: re.Match[bytes]) -> bytes:
        texts.append(match[2])
        return b'<c r="%s" t="s"><v>%d</v></c>' % (match[1], len(texts) - 1)

    cell = rb'<c r="(\w+)" t="inlineStr"><is><t>(.*?)</t></is></c>'
    _with_part(path, "xl/worksheets/sheet1.xml", lambda content: re.sub(cell, shared, content))
    space = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    items = b"".join(b"<si><t>%s</t></si>" % text for text in texts)
    _with_part(path, "xl/sharedStrings.xml", lambda _: b"<sst %s>%s</sst>" % (space, items))
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    part = b'<Override PartName="/xl/sharedStrings.xml" ContentType="%s"/></Types>' % kind
    return _with_part(path, "[Content_Types].xml", lambda content: content.replace(b"</Types>", part))


def test_a_workbook_with_a_table_of_shared_texts(desk: Desk) -> None:
    assert desk.take(as_excel_writes(write_xlsx(desk.folder, [OWN])), facts=FACTS).kept, desk.seen
    (record,) = shared_of(desk)
    assert record.titles[0].text == "高等数学"
    assert originals_of(record)["毕业季"] == "1321"


def _with_part(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    with zipfile.ZipFile(path) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    parts[name] = change(parts.get(name, b""))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    return path


def test_a_workbook_cannot_attack_the_reader(desk: Desk) -> None:
    laughs = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    sheet, texts = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
    for part in (sheet, texts):
        path = as_excel_writes(write_xlsx(desk.folder, [OWN]))
        _with_part(path, part, lambda content: laughs + content)
        with pytest.raises(IntakeError, match="document type"):
            desk.take(path, facts=FACTS)
    far = _with_part(
        write_xlsx(desk.folder, [OWN]),
        sheet,
        lambda content: content.replace(b'<row r="2"', b'<row r="99000000"'),
    )
    with pytest.raises(IntakeError, match="rows"):
        desk.take(far, facts=FACTS)
    bomb = _with_part(write_xlsx(desk.folder, [OWN]), texts, lambda content: content + b" " * (100 << 20))
    with pytest.raises(IntakeError, match="unpacks to more"):
        desk.take(bomb, facts=FACTS)
    assert desk.registry.count() == 0


def test_broken_workbooks_are_refused_in_words(desk: Desk) -> None:
    path = write_xlsx(desk.folder, [OWN])
    content = path.read_bytes()
    for broken in (content[: len(content) // 2], b"", b"PK\x03\x04nonsense", b"<html>"):
        path.write_bytes(broken)
        with pytest.raises(IntakeError, match="no XLSX workbook"):
            desk.take(path, facts=FACTS)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(IntakeError, match="packed in a way"):
        desk.take(path, facts=FACTS)
    for place in range(40, len(content), 97):  # one byte after another damaged
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with suppress(IntakeError):
            desk.take(path, facts=FACTS, replace=True)
    book = Workbook()
    for sheet in (book.worksheets[0], book.create_sheet("b")):
        sheet.append(list(OWN))
    book.save(path)
    with pytest.raises(IntakeError, match="2 sheets have content: Sheet, b"):
        desk.take(path, facts=FACTS)


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([n for n in OWN if n != "身份证号"]), CELLS))
def test_csv_and_workbook_say_the_same(desk: Desk, changes: dict[str, str]) -> None:
    """Whatever stands in the cells, both forms give the same records or the same refusals."""
    seen = []
    for write in (write_csv, write_xlsx):
        row = OWN | {"课程名称": "高等数学"} | {k: v.lstrip("=") for k, v in changes.items()}
        report = desk.take(write(desk.folder, [row]), facts=FACTS, replace=True)
        records = [local_record_of(record) for record in desk.registry.list_()] if report.kept else []
        seen.append((report.kept, desk.seen, records[-1:]))
    assert seen[0] == seen[1]


def test_the_command_takes_an_upload_and_says_whose_it_is(opened: Desk) -> None:
    path = write_xlsx(opened.folder, [OWN, OWN | {"课程名称": "大学物理"}])
    result = run("import", path, "--issuer-name", "浙江示例大学")
    assert result.exit_code == 0, result.output
    assert "2 rows" in result.stdout
    assert {record.issuers[0].names[0].text for record in shared_of(opened)} == {"浙江示例大学"}
    assert (opened.folder / "records.key").stat().st_mode & 0o777 == 0o600
    assert (
        "1 unchanged"
        in run("import", write_csv(opened.folder, [OWN]), "--issuer-name", "浙江示例大学").stdout
    )


def test_memory_does_not_grow_with_a_workbook(desk: Desk) -> None:
    """Ten times the rows, the same peak: rows are not kept."""
    peaks = []
    for rows in (150, 1_500):
        path = write_xlsx(desk.folder, [OWN | {"课程名称": f"课程 {number}"} for number in range(rows)])
        reading = Reading(desk.scheme, FACTS, NOW)
        tracemalloc.start()
        source, items = open_records(path, reading)
        assert sum(1 for _ in items) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        source.close()
    assert peaks[1] < 1.5 * peaks[0] + 200_000, peaks
