"""Numbers on national certificates: which form a number has, and whether it contradicts its record.

A contradiction is a warning for people; it is never repaired.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from creditexchange.v1.record_pb2 import (
    LEVEL_FRAMEWORK_EDUCATION,
    LEVEL_FRAMEWORK_SKILL,
    RECORD_KIND_GRADUATION,
    LearningRecord,
)

GRADUATION_18 = "graduation-18"
GRADUATION_17 = "graduation-17"
SKILL_22 = "skill-22"
LOCAL = "local"

_GRADUATION_18 = re.compile(
    r"(?P<school>\d{5})(?P<type>[1-7])(?P<year>(?:19|20)\d{2})(?P<level>0[124-6])\d{6}", re.ASCII
)
_GRADUATION_17 = re.compile(r"\d{5}[1-7](?P<year>200[12])(?P<level>0[124-6])\d{5}", re.ASCII)
_SKILL_22 = re.compile(r"[YS]\d{4}(?P<region>\d{2})\d{6}(?P<year>\d{2})(?P<level>[1-5])\d{6}", re.ASCII)

_GRADUATION_LEVELS = {
    "01": "doctor",
    "02": "master",
    "04": "second-bachelor",
    "05": "bachelor",
    "06": "associate",
}


def describe_number(number: str) -> str:
    """Return which form ``number`` has: ``graduation-18``, ``graduation-17``, ``skill-22`` or ``local``."""
    if not number:
        return ""
    for scheme, pattern in (
        (GRADUATION_18, _GRADUATION_18),
        (GRADUATION_17, _GRADUATION_17),
        (SKILL_22, _SKILL_22),
    ):
        if pattern.fullmatch(number):
            return scheme
    return LOCAL


def find_number_conflicts(record: LearningRecord) -> Iterator[tuple[str, str]]:
    """Yield what the certificate's number and the rest of the record say differently: code and text."""
    number = record.certificate.number
    if match := _GRADUATION_18.fullmatch(number) or _GRADUATION_17.fullmatch(number):
        if record.kind != RECORD_KIND_GRADUATION:
            return
        codes = _codes(record, LEVEL_FRAMEWORK_EDUCATION)
        if record.award_date.year and int(match["year"]) != record.award_date.year:
            yield (
                "graduation-number-year",
                (f"the number says {match['year']}, the record {record.award_date.year}; both are kept"),
            )
        if codes and _GRADUATION_LEVELS[match["level"]] not in codes:
            yield "graduation-number-level", "the number states another level than the record; both are kept"
    elif match := _SKILL_22.fullmatch(number):
        codes = _codes(record, LEVEL_FRAMEWORK_SKILL)
        if record.award_date.year and int(match["year"]) != record.award_date.year % 100:
            yield (
                "skill-number-year",
                (f"the number says year {match['year']}, the record {record.award_date.year}; both are kept"),
            )
        if codes and match["level"] not in codes:
            yield "skill-number-level", "the number states another level than the record; both are kept"


def _codes(record: LearningRecord, framework: int) -> set[str]:
    """Return the record's translated levels in one framework."""
    return {level.code for level in record.levels if level.framework == framework and level.code}
