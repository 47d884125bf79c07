"""Which column of a province's file is which of the record layout (docs/records.md)."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import fields

from gateway.errors import CallerError
from gateway.schemes.local_record import LocalRecord

SKIP = "skip"
"""A column that is not imported."""
ORIGINAL = "original"
"""A column that is carried verbatim and means nothing to the scheme."""
LEARNER = ("learner_id", "learner_id_type")
LAYOUT = tuple(field.name for field in fields(LocalRecord) if field.name != "originals")

_NAMES: Mapping[str, tuple[str, ...]] = {
    "learner_id": ("身份证号", "身份证号码", "证件号码", "证件号"),
    "learner_id_type": ("证件类型",),
    "record_id": ("记录编号", "成果编号", "流水号", "序号"),
    "kind": ("类别", "成果类型", "成果类别", "学习成果类型", "记录类型"),
    "title": ("课程名称", "成果名称", "证书名称", "名称", "项目名称", "原课程名称", "原证书名称"),
    "title_en": ("英文名称", "课程英文名称"),
    "holder_name": ("姓名", "学生姓名", "学员姓名"),
    "issuer_name": ("办学机构", "学校名称", "院校名称", "发证机构", "颁发机构", "原办学机构", "原发证机构"),
    "issuer_code": ("学校代码", "院校代码", "机构代码", "转换学校代码"),
    "issuer_role": ("机构角色",),
    "issuer_region": ("行政区划", "地区代码"),
    "course_code": ("课程代码", "课程编号", "课程号"),
    "catalogue_version": ("培养方案版本", "版本", "培养方案"),
    "field_code": ("专业代码", "学科代码"),
    "credits": ("学分", "课程学分", "学分数", "原学分"),
    "credit_unit": ("学分单位", "学分类型"),
    "hours": ("学时", "学时数", "课时", "原学时", "总学时"),
    "hour_kind": ("学时类型", "学时单位"),
    "grade": ("成绩", "总评成绩", "分数", "原成绩", "考试成绩"),
    "grade_scale": ("成绩类型", "成绩制"),
    "attempt": ("修读次数", "考试次数"),
    "education_level": ("教育层次", "学历层次", "层次", "培养层次", "教育层次代码", "原教育层次代码"),
    "degree_level": ("学位", "学位层次", "学位等级"),
    "skill_level": ("技能等级", "职业技能等级", "工种等级"),
    "x_level": ("证书等级", "原证书等级"),
    "framework_level": ("资历等级", "成果等级", "框架等级"),
    "start_date": ("开始日期", "开始时间", "开课日期"),
    "end_date": ("结束日期", "结束时间", "结课日期"),
    "award_date": ("获得时间", "获得日期", "发证日期", "颁发日期", "颁发时间", "发证时间"),
    "certificate_number": ("证书编号", "证书号"),
    "certificate_code": ("证书代码",),
    "expire_date": ("有效期至", "失效日期"),
    "status": ("状态", "证书状态", "记录状态"),
    "status_since": ("状态日期",),
    "part_of": ("所属项目", "所属记录"),
}
_COLUMN_OF = {alias: column for column, aliases in _NAMES.items() for alias in aliases}


def find_columns(names: Sequence[str]) -> dict[str, str]:
    """Return for each name the layout's column that it usually means; ``original`` where none does."""
    found: dict[str, str] = {}
    for name in names:
        plain = unicodedata.normalize("NFKC", name).strip().replace(" ", "")
        column = _COLUMN_OF.get(plain, ORIGINAL)
        if plain.lower() in LAYOUT or plain.lower() in LEARNER:
            column = plain.lower()
        found[name] = ORIGINAL if column != ORIGINAL and column in found.values() else column
    return found


def named_columns(stated: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the usual columns, but for those that ``stated`` names.

    Raises:
        CallerError: a column is not in the file, is none of the layout's, or two are the same.
    """
    for name, column in stated.items():
        if name not in names:
            raise CallerError(f"the file has no column {name!r}.", remedy=f"It has: {', '.join(names)}.")
        check_column(column)
    usual = find_columns(names)
    taken = set(stated.values()) - {ORIGINAL, SKIP}
    found = {name: stated.get(name, ORIGINAL if usual[name] in taken else usual[name]) for name in names}
    columns = [column for column in found.values() if column not in (ORIGINAL, SKIP)]
    for column in columns:
        if columns.count(column) > 1:
            raise CallerError(f"two columns are said to be {column!r}.", remedy="Say which one it is.")
    return found


def check_column(column: str) -> str:
    """Return ``column`` if the layout has it.

    Raises:
        CallerError: it has not; names the nearest.
    """
    known = (*LEARNER, *LAYOUT, ORIGINAL, SKIP)
    if column not in known:
        near = difflib.get_close_matches(column, known, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise CallerError(
            f"{column!r} is no column of the record layout.", remedy=f"{hint}See docs/records.md."
        )
    return column


def local_record(row: Mapping[str, str], columns: Mapping[str, str], line: int, kind: str) -> LocalRecord:
    """Return a row as a record; ``kind`` is that of files which have no column for it."""
    values = {column: row[name] for name, column in columns.items() if column in LAYOUT}
    originals = tuple(
        (name, row[name]) for name, column in columns.items() if column == ORIGINAL and row[name]
    )
    needed = {"record_id": str(line), "kind": kind, "title": "-"}
    for column, value in needed.items():
        values[column] = values.get(column) or value
    return LocalRecord(**values, originals=originals)
