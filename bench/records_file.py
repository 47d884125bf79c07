"""Writes a CSV file of invented records, ten a learner, in the documented synthetic range."""

from __future__ import annotations

import csv
from pathlib import Path

from gateway.learners.identifier import check_character

RECORDS_A_LEARNER = 10
COLUMNS = (
    "learner_id",
    "record_id",
    "kind",
    "title",
    "credits",
    "hours",
    "hour_kind",
    "grade",
    "award_date",
    "issuer_name",
    "issuer_code",
    "issuer_code_scheme",
)


def learner_id(number: int) -> str:
    """Return the identifier of invented learner ``number``; regions 990001 to 990090 are never assigned."""
    first = (
        f"9900{1 + number % 90:02}{1960 + number // 90 % 40}"
        f"{1 + number // 3600 % 12:02}{1 + number // 43_200 % 28:02}{number // 1_209_600 % 1000:03}"
    )
    return first + check_character(first)


def write_records(path: Path, rows: int, a_learner: int = RECORDS_A_LEARNER, first: int = 0) -> None:
    """Write ``rows`` records to ``path``, so many ``a_learner``, beginning with number ``first``."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(first, first + rows):
            writer.writerow(
                (
                    learner_id(number // a_learner),
                    f"B{number}",
                    "课程",
                    f"课程{number % 500}",
                    "2.5",
                    "40",
                    "学时",
                    str(60 + number % 40),
                    f"20{10 + number % 15}-07",
                    "示例大学",
                    "10280",
                    "moe-school",
                )
            )
