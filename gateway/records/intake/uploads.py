"""The three spreadsheets that universities upload to a credit bank, recognised by their headers.

Own courses, courses of other schools, certificates; each row is one course or certificate of one
learner. They come with the defects of practice: award dates cut to the month, the placeholders
``85``, ``待补`` and ``无``, certificates with ``0`` credits and blank hours. A placeholder is never
taken for a value: it stays verbatim where it was written, or the scheme says what it means. Nothing
is repaired, and no season is guessed from a month.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from creditexchange.v1 import record_pb2 as pb
from gateway.learners.identifier import RESIDENT_ID
from gateway.records.intake.rows import COLUMNS_MAX, Derived, ImportFacts, Reading, Row
from gateway.records.refusal import Refusal, RefusedRow, shown_name
from gateway.schemes import LocalRecord, Scheme

HOLDER, LEARNER, STUDENT_NUMBER = "姓名", "身份证号", "学号"
_PERSON = (HOLDER, LEARNER, STUDENT_NUMBER, "届别", "毕业结业肄业", "毕业季", "备注")
_TARGET = (
    "转换后教育层次代码",
    "转换后课程代码",
    "转换后课程名称",
    "转换后学分",
    "转换时间",
    "转换后专业名称",
)
_OWN = (
    "专业名称",
    "课程名称",
    "教育层次代码",
    "教育类别代码",
    "学分",
    "学时",
    "成绩",
    "获得时间",
)
_OTHER = (
    "原课程来源代码",
    "原专业名称",
    "原课程名称",
    "原办学机构",
    "原教育层次代码",
    "原教育类别代码",
    "原学分",
    "原学时",
    "原成绩",
)
_CERTIFICATE = ("原证书来源代码", "原证书类型", "原证书名称", "原证书等级", "原发证机构")
_CONVERTING_SCHOOL = "转换学校代码"

CLASS_HOUR = "学时"
"""The columns 学时 and 原学时 say themselves which hour they count."""
LEVEL_PLACEHOLDER = "85"
"""Stands for every level of certificate in practice, and so for none."""

_DATE = re.compile(r"(\d{4})(?:[-/.年]?(\d{1,2})月?(?:[-/.]?(\d{1,2})日?)?)?(?: 00:00:00)?", re.ASCII)
_JOINED = re.compile(r"\d{4}(?:\d{2}){0,2}", re.ASCII)

Values = Mapping[str, str]
Members = dict[str, Any]


@dataclass(frozen=True, slots=True)
class UploadLayout:
    """One of the three."""

    name: str
    prefix: str
    columns: frozenset[str]
    required: tuple[str, ...]
    record_of: Callable[[Values], dict[str, str]]
    """From columns of the record layout to those of the file, for one row."""
    kind_of: Callable[[Values], int]
    role_of: Callable[[Values], int]
    key: tuple[str, ...]
    """Columns that tell one achievement of a learner from another. A grade or an amount is none: when
    it is corrected, the record is the same one with other content."""


def _is_converted(values: Values) -> bool:
    return any(values.get(name) for name in ("转换后课程名称", "转换后课程代码", "转换后学分"))


_TARGET_COLUMNS = {
    "title": "转换后课程名称",
    "course_code": "转换后课程代码",
    "credits": "转换后学分",
    "award_date": "转换时间",
    "education_level": "转换后教育层次代码",
    "issuer_code": _CONVERTING_SCHOOL,
}
_OWN_COLUMNS = {
    "title": "课程名称",
    "credits": "学分",
    "hours": "学时",
    "grade": "成绩",
    "award_date": "获得时间",
    "education_level": "教育层次代码",
}
_OTHER_COLUMNS = {
    "title": "原课程名称",
    "credits": "原学分",
    "hours": "原学时",
    "grade": "原成绩",
    "award_date": "获得时间",
    "education_level": "原教育层次代码",
    "issuer_name": "原办学机构",
}


def _own(_values: Values) -> dict[str, str]:
    return _OWN_COLUMNS


def _other(values: Values) -> dict[str, str]:
    return _TARGET_COLUMNS if _is_converted(values) else _OTHER_COLUMNS


def _certificate(values: Values) -> dict[str, str]:
    if _is_converted(values):
        if values.get("转换后学分") == "0":
            return {name: column for name, column in _TARGET_COLUMNS.items() if name != "credits"}
        return _TARGET_COLUMNS
    level = values.get("原证书等级", "")
    columns = {"title": "原证书名称", "issuer_name": "原发证机构", "award_date": "获得时间"}
    return columns if level in ("", LEVEL_PLACEHOLDER) else columns | {"skill_level": "原证书等级"}


def _course(_values: Values) -> int:
    return pb.RECORD_KIND_COURSE


def _course_or_certificate(values: Values) -> int:
    return pb.RECORD_KIND_COURSE if _is_converted(values) else pb.RECORD_KIND_VOCATIONAL_QUALIFICATION


def _taught(_values: Values) -> int:
    return pb.ISSUER_ROLE_TAUGHT


def _recognised_or(role: int) -> Callable[[Values], int]:
    return lambda values: pb.ISSUER_ROLE_RECOGNISED if _is_converted(values) else role


_ALL = frozenset((*_PERSON, *_OWN))
LAYOUTS = (
    UploadLayout(
        "certificates",
        "certificate",
        _ALL | {*_CERTIFICATE, *_TARGET, _CONVERTING_SCHOOL},
        (LEARNER, "原证书名称"),
        _certificate,
        _course_or_certificate,
        _recognised_or(pb.ISSUER_ROLE_AWARDED),
        (
            "原证书名称",
            "原证书类型",
            "原证书等级",
            "原发证机构",
            "转换后课程代码",
            "转换后课程名称",
            "转换时间",
        ),
    ),
    UploadLayout(
        "courses of other schools",
        "other-course",
        _ALL | {*_OTHER, *_TARGET, _CONVERTING_SCHOOL},
        (LEARNER, "原课程名称"),
        _other,
        _course,
        _recognised_or(pb.ISSUER_ROLE_TAUGHT),
        ("原课程名称", "原办学机构", "原专业名称", "转换后课程代码", "转换后课程名称", "转换时间"),
    ),
    UploadLayout(
        "own courses",
        "own-course",
        _ALL,
        (LEARNER, "课程名称"),
        _own,
        _course,
        _taught,
        ("课程名称", "专业名称", "教育层次代码", "届别", "获得时间"),
    ),
)
"""In this order: the columns of own courses may stand in the others too."""


def find_layout(names: Sequence[str]) -> UploadLayout | None:
    """Return the layout of a header, ``None`` when it is none of the three."""
    return next((layout for layout in LAYOUTS if layout.required[1] in names), None)


def find_upload_problems(layout: UploadLayout, names: Sequence[str], reading: Reading) -> list[str]:
    """Return everything that keeps a file with this header from being read."""
    problems = [f"column {number} has no name" for number, name in enumerate(names, 1) if not name]
    problems += [f"column {name!r} stands twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    problems += [
        f"unknown column {shown_name(name)!r} in the layout of {layout.name}; rename or remove it"
        for name in names
        if name and name not in layout.columns
    ]
    problems += [f"missing column {name}" for name in layout.required if name not in names]
    if len(names) > COLUMNS_MAX:
        problems.append(f"{len(names)} columns; at most {COLUMNS_MAX} are read")
    if reading.facts.records_key is None:
        problems.append("files without record_id need the node's records key")
    return problems


class UploadShape:
    """How the fields of one of the three layouts become a row."""

    def __init__(self, layout: UploadLayout, columns: Sequence[str], reading: Reading) -> None:
        self.columns = tuple(columns)
        self._layout = layout
        self._scheme: Scheme = reading.scheme
        self._facts: ImportFacts = reading.facts

    def row(self, line: int, values: list[str]) -> Row | RefusedRow:
        """Return the row of ``values``; nothing of it is dropped, what has no column is an original."""
        stated = {name: value for name, value in zip(self.columns, values, strict=True) if value}
        columns = self._layout.record_of(stated)
        members: Members = {name: stated[column] for name, column in columns.items() if column in stated}
        taken = {columns[name] for name in members} | {LEARNER, STUDENT_NUMBER, HOLDER}
        kind = self._layout.kind_of(stated)
        if kind not in self._scheme.kind_words:
            return _no_word(line, "kind", "course" if kind == pb.RECORD_KIND_COURSE else "certificate")
        members["kind"] = self._scheme.kind_words[kind]
        members["holder_name"] = stated.get(HOLDER, "")
        self._add_issuer(members, stated)
        if "hours" in members:
            members["hour_kind"] = CLASS_HOUR
        if "award_date" in members:
            members["award_date"] = _iso(members["award_date"])
            if members["award_date"] != stated[columns["award_date"]]:
                taken.discard(columns["award_date"])  # rewritten, so what was written is kept too
        if not members.get("title"):
            return RefusedRow((Refusal(line, columns["title"], "it is empty, and the row is a conversion"),))
        originals = tuple((name, value) for name, value in stated.items() if name not in taken)
        key = tuple(stated.get(name, "") for name in self._layout.key)
        return Row(
            line,
            RESIDENT_ID,
            stated.get(LEARNER, ""),
            LocalRecord(record_id="", originals=originals, **members),
            Derived(
                self._layout.prefix,
                (*key, self._facts.issuer_name, self._facts.issuer_code),
                keyed=((STUDENT_NUMBER, stated[STUDENT_NUMBER]),) if STUDENT_NUMBER in stated else (),
                columns={**columns, "learner_id": LEARNER, "holder_name": HOLDER},
            ),
        )

    def _add_issuer(self, members: Members, stated: Values) -> None:
        """The institution that the row names, else the one that hands the file in."""
        facts = self._facts
        if "issuer_name" not in members:
            members["issuer_name"] = facts.issuer_name
            if "issuer_code" not in members:
                members["issuer_code"], members["issuer_code_scheme"] = (
                    facts.issuer_code,
                    facts.issuer_code_scheme,
                )
        if members.get("issuer_name") or members.get("issuer_code"):
            members["issuer_role"] = self._word_of_role(self._layout.role_of(stated))

    def _word_of_role(self, role: int) -> str:
        """Return the scheme's first word for ``role``, ``""`` when it has none."""
        return next((word for word, value in self._scheme.issuer_roles.items() if value == role), "")


def _no_word(line: int, column: str, what: str) -> RefusedRow:
    return RefusedRow((Refusal(line, column, f"the node's scheme has no word for a {what}; add one"),))


def _iso(text: str) -> str:
    """Return a date as YYYY, YYYY-MM or YYYY-MM-DD with the precision of ``text``, else ``text`` itself.

    ``202406`` is the sixth month of 2024: the upload's own form, and never its first day.
    """
    match = _DATE.fullmatch(text)
    if match is None or (text.isdigit() and not _JOINED.fullmatch(text)):
        return text
    return "-".join(part.zfill(2) for part in match.groups() if part)
