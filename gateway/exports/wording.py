"""Values of the shared model as text, and words for people in Chinese and English."""

from __future__ import annotations

import re

from creditexchange.v1.record_pb2 import LearningRecord, LocalizedText, PartialDate

KINDS = {
    "degree": ("学位", "Degree"),
    "graduation": ("学历", "Graduation"),
    "course": ("课程", "Course"),
    "module": ("模块", "Module"),
    "unit": ("学习成果单元", "Unit of learning outcomes"),
    "vocational-qualification": ("职业资格", "Vocational qualification"),
    "skill-level": ("职业技能等级", "Skill level"),
    "x-certificate": ("1+X 证书", "1+X certificate"),
    "training": ("培训", "Training"),
    "experience": ("经历", "Experience"),
    "competition": ("竞赛", "Competition"),
    "leisure": ("文化休闲", "Culture and leisure"),
}
STATES = {
    "valid": ("有效", "valid"),
    "suspended": ("暂停", "suspended"),
    "revoked": ("已撤销", "revoked"),
    "superseded": ("已被更正记录取代", "superseded"),
    "expired": ("已过期", "expired"),
    "under-correction": ("更正中", "under correction"),
    "": ("未说明", "not stated"),
}
UNITS = {"credit": ("学分", "credits"), "point": ("积分", "points")}
HOUR_KINDS = {
    "class": ("课时", "class hours"),
    "clock": ("小时", "hours"),
    "week": ("周", "weeks"),
    "notional": ("学习时数", "notional hours"),
    "": ("学时", "hours"),
}


def date_text(date: PartialDate) -> str:
    """Return a date with the precision it was given with; ``""`` when there is none."""
    if not date.year:
        return ""
    month = f"-{date.month:02}" if date.month else ""
    return f"{date.year:04}{month}" + (f"-{date.day:02}" if date.month and date.day else "")


def title_of(record: LearningRecord, language: str = "") -> str:
    """Return the title in a language; in the source's own when there is none, or none was asked for."""
    return text_in(record.titles, language)


def text_in(texts: object, language: str = "") -> str:
    """Return the text of ``language`` ("en", "zh"), else the first one, else ``""``."""
    known: list[LocalizedText] = list(texts)  # type: ignore[call-overload]
    for text in known:
        if language and text.language.split("-", 1)[0] == language:
            return str(text.text)
    return str(known[0].text) if known else ""


def by_language(texts: object) -> dict[str, str]:
    """Return texts by language tag; of two in one language the first. Tags that are none become ``und``."""
    found: dict[str, str] = {}
    for text in texts:  # type: ignore[attr-defined]
        tag = text.language if re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", text.language) else "und"
        found.setdefault(tag, text.text)
    return found
