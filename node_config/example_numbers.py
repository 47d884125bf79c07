"""Identifiers and certificate numbers of the example records: right in form, never anybody's.

What makes them harmless: resident numbers and organisation codes use the region codes 990001 to 990099,
which GB/T 2260 has never assigned, and every serial number starts at 990001, where none counts.
"""

from __future__ import annotations

from collections import Counter
from datetime import date

_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CREDIT_CODE_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"

_GRADUATION_LEVEL = {"doctor": "01", "master": "02", "bachelor": "05", "associate": "06"}
_DEGREE_LEVEL = {"doctor": "2", "master": "3", "bachelor": "4"}


def resident_id(region: int, born: date, sequence: int) -> str:
    """Return a resident identity number (GB 11643) of the synthetic range.

    Args:
        region: 1 to 99, the last two digits of 9900nn.
        born: Date of birth.
        sequence: 0 to 999; odd for men, even for women.
    """
    first = f"9900{region:02d}{born:%Y%m%d}{sequence:03d}"
    total = sum(weight * int(digit) for weight, digit in zip(_RESIDENT_WEIGHTS, first, strict=True))
    return first + "10X98765432"[total % 11]


def organisation_check(body: str) -> str:
    """Return the check character of an organisation code (GB 11714) of eight characters."""
    total = sum(
        weight * _ORGANISATION_ALPHABET.index(character)
        for weight, character in zip(_ORGANISATION_WEIGHTS, body, strict=True)
    )
    return "0X987654321"[total % 11]


def credit_code_check(first_seventeen: str) -> str:
    """Return the check character of a unified social credit code (GB 32100)."""
    total = sum(
        _CREDIT_CODE_ALPHABET.index(character) * pow(3, place, 31)
        for place, character in enumerate(first_seventeen)
    )
    return _CREDIT_CODE_ALPHABET[(31 - total % 31) % 31]


def social_credit_code(region: int, organisation: int) -> str:
    """Return a unified social credit code of an invented private non-enterprise body (52)."""
    body = f"EX{organisation:06d}"
    first = f"529900{region:02d}{body}{organisation_check(body)}"
    return first + credit_code_check(first)


class Serials:
    """Serial numbers, one row a key, each from 990001."""

    def __init__(self) -> None:
        self._last: Counter[str] = Counter()

    def take(self, key: str) -> str:
        """Return the next six-digit number of ``key``."""
        self._last[key] += 1
        return str(990_000 + self._last[key])

    def graduation(self, school: str, form: str, year: int, level: str) -> str:
        """Return an 18-digit graduation number: school, form (1 regular, 5 adult), year, level, serial."""
        stem = f"{school}{form}{year}{_GRADUATION_LEVEL[level]}"
        return stem + self.take(stem)

    def degree(self, school: str, year: int, level: str) -> str:
        """Return a 16-digit degree number: school, level, year, serial."""
        stem = f"{school}{_DEGREE_LEVEL[level]}{year}"
        return stem + self.take(stem)

    def skill(self, region: str, year: int, level: int) -> str:
        """Return a 22-character skill number of the invented assessor of a province (S 0000, 990001)."""
        stem = f"S0000{region[:2]}990001{year % 100:02d}{level}"
        return stem + self.take(stem)

    def local(self, prefix: str, year: int) -> str:
        """Return a number of a body's own making."""
        return f"{prefix}{year}{self.take(f'{prefix}{year}')}"
