"""What a province's file holds: which words, how numbers are written, which hours a credit has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from gateway.schemes.drafting.province_file import ProvinceFile
from gateway.schemes.ratio import AmountError, parse_amount

VALUES_MAX = 2_000
"""Different words of one column; a column with more holds no words but names or numbers."""

WORD_COLUMNS = {
    "kind": "kinds",
    "status": "status",
    "hour_kind": "hour_kinds",
    "issuer_role": "issuer_roles",
    "education_level": "levels.education",
    "degree_level": "levels.degree",
    "skill_level": "levels.skill",
    "x_level": "levels.x-certificate",
    "framework_level": "levels.qualification",
}
"""Columns whose words a scheme maps, and in which table."""
AMOUNT_COLUMNS = ("credits", "hours")
CODE_COLUMNS = {
    "issuer_code": ("institution", "issuer_code_scheme"),
    "field_code": ("discipline", "field_scheme"),
    "certificate_code": ("certificate", ""),
}
"""Columns of codes: what they stand for, and the column that names their list."""
COUNTED_COLUMNS = (*WORD_COLUMNS, *AMOUNT_COLUMNS, *CODE_COLUMNS, "grade", "credit_unit")


@dataclass(slots=True)
class Survey:
    """Counts of one file."""

    rows: int = 0
    words: dict[str, Counter[str]] = field(default_factory=dict)
    """By column of the layout: how often each value stands."""
    ratios: Counter[Fraction] = field(default_factory=Counter)
    """Hours a credit, where a row states both."""
    first_year: int | None = None
    """Of the awards."""

    def of(self, column: str) -> Counter[str]:
        """Return the values of a column, without the empty one."""
        return self.words.get(column, Counter())


def survey(file: ProvinceFile, columns: Mapping[str, str]) -> Survey:
    """Read ``file`` once and count; ``columns`` says which of its columns is which."""
    found = Survey(words={column: Counter() for column in columns.values() if column in COUNTED_COLUMNS})
    place = {column: name for name, column in columns.items()}
    for _, row in file.rows():
        found.rows += 1
        for column, counter in found.words.items():
            value = row[place[column]]
            if value and (value in counter or len(counter) < VALUES_MAX):
                counter[value] += 1
        if "credits" in place and "hours" in place:
            _count_ratio(found, row[place["credits"]], row[place["hours"]])
        if "award_date" in place:
            _note_year(found, row[place["award_date"]])
    return found


def _count_ratio(found: Survey, credit: str, hours: str) -> None:
    numbers = number_in(credit), number_in(hours)
    if numbers[0] and numbers[1] and (numbers[1] / numbers[0]).denominator <= 2:
        found.ratios[numbers[1] / numbers[0]] += 1


def _note_year(found: Survey, text: str) -> None:
    year = text[:4]
    if year.isascii() and year.isdecimal() and 1900 <= int(year) <= 2100:
        found.first_year = min(int(year), found.first_year or 9999)


def split_number(text: str) -> tuple[str, str]:
    """Return the digits that ``text`` begins with, and what follows them."""
    end = next((place for place, character in enumerate(text) if character not in "0123456789."), len(text))
    return text[:end], text[end:]


def number_in(text: str) -> Fraction | None:
    """Return the number that ``text`` begins with, whatever blanks and unit stand around it."""
    try:
        return parse_amount(split_number(text.strip(" "))[0])
    except AmountError:
        return None
