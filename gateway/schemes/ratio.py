"""Exact amounts: decimal text or a fraction, never binary floating point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Literal

Mode = Literal["floor", "half_up", "half_even"]

AMOUNT_MAX = 1_000_000
"""Larger amounts of credit or hours are mistakes."""

VALUES_REMEMBERED = 4096
"""Amounts repeat: a province has few different credits, hours and grades."""

_DECIMAL = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_FRACTION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(?:/(\d{1,9}))?", re.ASCII)


class AmountError(ValueError):
    """A text is not an exact amount."""


@lru_cache(VALUES_REMEMBERED)
def parse_amount(text: str) -> Fraction:
    """Return the amount in ``text``: digits with at most one point, from 0 to 1,000,000.

    Raises:
        AmountError: anything else, such as ``2,5``, ``1e3``, ``NaN``, ``-1``, full-width digits.
    """
    if not _DECIMAL.fullmatch(text):
        raise AmountError("write digits with a point for decimals, such as 2.5")
    amount = Fraction(Decimal(text))
    if amount > AMOUNT_MAX:
        raise AmountError(f"more than {AMOUNT_MAX:,} cannot be right")
    return amount


def parse_ratio(text: str) -> Fraction:
    """Return the positive ratio in ``text``: a decimal or ``p/q``.

    Raises:
        AmountError: not one, or zero.
    """
    match = _FRACTION.fullmatch(text)
    if match is None:
        raise AmountError('write a decimal such as "16" or a fraction such as "45/2"')
    denominator = int(match[2]) if match[2] else 1
    if denominator == 0 or Fraction(Decimal(match[1])) == 0:
        raise AmountError("a ratio must be positive")
    return Fraction(Decimal(match[1])) / denominator


@lru_cache(VALUES_REMEMBERED)
def exact_text(value: Fraction) -> str:
    """Return ``value`` as decimal text if that is exact, else as ``p/q``."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    text = format(Decimal(value.numerator) / Decimal(value.denominator), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def read_exact(text: str) -> Fraction:
    """Return the value that :func:`exact_text` wrote.

    Raises:
        AmountError: the text is something else.
    """
    numerator, _, denominator = text.partition("/")
    if not _DECIMAL_LONG.fullmatch(numerator) or (denominator and not denominator.isdecimal()):
        raise AmountError("no exact amount")
    if denominator and int(denominator) == 0:
        raise AmountError("no exact amount")
    return Fraction(Decimal(numerator)) / (int(denominator) if denominator else 1)


_DECIMAL_LONG = re.compile(r"\d{1,24}(?:\.\d{1,24})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a result is rounded: to multiples of ``step``, once, at the end."""

    step: Fraction
    mode: Mode

    def round(self, value: Fraction) -> Fraction:
        """Return ``value`` as a multiple of the step."""
        steps = value / self.step
        whole = steps.numerator // steps.denominator
        rest = steps - whole
        half = Fraction(1, 2)
        up = rest > half or (
            rest == half and (self.mode == "half_up" or (self.mode == "half_even" and whole % 2 == 1))
        )
        if self.mode != "floor" and up:
            whole += 1
        return whole * self.step

    @property
    def text(self) -> str:
        """The rounding as a trace names it, for example ``0.5 half_up``."""
        return f"{exact_text(self.step)} {self.mode}"
