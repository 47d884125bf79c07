"""Learners and rows that nobody has: region codes 990000 to 990099 were never assigned."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from gateway.learners.identifier import check_character
from gateway.learners.subject_token import FederationSecret
from gateway.records.intake.rows import ImportFacts, Reading
from gateway.records.records_key import RecordsKey
from gateway.schemes import Scheme, load_scheme

SECRET = FederationSecret("2026", bytes(range(32)))
RECORDS_KEY = RecordsKey(bytes(range(32, 64)))
NODE = "zhejiang"
SCHEME_FILE = Path(__file__).parents[2] / "node_config" / NODE / "scheme.toml"

COLUMNS = (
    "learner_id_type",
    "learner_id",
    "record_id",
    "kind",
    "title",
    "title_en",
    "holder_name",
    "issuer_name",
    "issuer_code",
    "issuer_code_scheme",
    "issuer_role",
    "issuer_region",
    "course_code",
    "catalogue_version",
    "credits",
    "credit_unit",
    "hours",
    "hour_kind",
    "grade",
    "grade_scale",
    "attempt",
    "start_date",
    "end_date",
    "award_date",
    "status",
    "original.term",
)


def scheme() -> Scheme:
    return load_scheme(SCHEME_FILE)


@cache
def reading() -> Reading:
    return Reading(scheme(), ImportFacts(RECORDS_KEY), datetime(2026, 11, 23, tzinfo=UTC))


def learner_id(number: int) -> str:
    """The ``number``-th learner's resident number."""
    day, serial = number // 900, number % 900
    first = f"9900{day // 10 % 100:02d}{1950 + day // 336 % 60}{1 + day // 28 % 12:02d}{1 + day % 28:02d}{100 + serial}"
    return first + check_character(first)


def make_row(number: int, records_a_learner: int = 10) -> dict[str, str]:
    """A course that the example scheme of Zhejiang can translate."""
    year = 2005 + number % 20
    return {
        "learner_id_type": "resident-id",
        "learner_id": learner_id(number // records_a_learner),
        "record_id": f"ZJ-{number:08d}",
        "kind": "课程",
        "title": f"高等数学（{number % 97}）",
        "title_en": f"Advanced mathematics {number % 97}",
        "holder_name": "林思雨",
        "issuer_name": "浙江示例大学",
        "issuer_code": "99999",
        "issuer_code_scheme": "moe-school",
        "issuer_role": "授课",
        "issuer_region": "330000",
        "course_code": f"CS{number % 977:04d}",
        "catalogue_version": str(year),
        "credits": f"{1 + number % 8 / 2:g}",
        "credit_unit": "credit",
        "hours": str(16 + 8 * (number % 8)),
        "hour_kind": "学时",
        "grade": str(60 + number % 41),
        "grade_scale": "percentage",
        "attempt": "1",
        "start_date": f"{year}-09",
        "end_date": f"{year + 1}-01",
        "award_date": f"{year + 1}-01-{1 + number % 28:02d}",
        "status": "有效",
        "original.term": f"{year}-1",
    }


def make_rows(count: int) -> Iterator[dict[str, str]]:
    return (make_row(number) for number in range(count))


def write_csv(path: Path, rows: Iterator[dict[str, str]] | list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_json_lines(path: Path, rows: Iterator[dict[str, str]] | list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path
