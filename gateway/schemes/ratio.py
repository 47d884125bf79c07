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

DECIMALS_MAX = 18
"""What needs more decimals is written as a fraction."""

_AMOUNT = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_BEGINNING = re.compile(r"\d{0,9}(?:(?<=\d)\.\d{0,9})?", re.ASCII)
_RATIO = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(?:/(\d{1,9}))?", re.ASCII)
_EXACT = re.compile(r"(\d{1,40})(?:\.(\d{1,18})|/(\d{1,40}))?", re.ASCII)


class AmountError(ValueError):
    """A text is not an exact amount."""


@lru_cache(VALUES_REMEMBERED)
def parse_amount(text: str) -> Fraction:
    """Return the amount in ``text``: digits with at most one point, from 0 to 1,000,000.

    Raises:
        AmountError: anything else, such as ``2,5``, ``1e3``, ``NaN``, ``-1``, full-width digits;
            names the first character that is wrong.
    """
    if not _AMOUNT.fullmatch(text):
        raise AmountError(f"write digits with a point for decimals, such as 2.5; {_mistake(text)}")
    amount = Fraction(Decimal(text))
    if amount > AMOUNT_MAX:
        raise AmountError(f"more than {AMOUNT_MAX:,} cannot be right")
    return amount


def _mistake(text: str) -> str:
    """Say where ``text`` stops being an amount."""
    match = _BEGINNING.match(text)
    end = match.end() if match else 0
    if end < len(text):
        return f"character {end + 1} is {text[end]!r}"
    return "it ends with the point" if text else "it is empty"


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """What a province writes around its numbers. Nothing unless it is declared."""

    surrounding_blanks: bool = False
    suffixes: tuple[str, ...] = ()

    def read(self, text: str) -> Fraction:
        """Return the amount in ``text``; raises ``AmountError`` like :func:`parse_amount`."""
        if self.surrounding_blanks:
            text = text.strip(" ")
        for suffix in self.suffixes:
            if text.endswith(suffix):
                text = text.removesuffix(suffix)
                break
        return parse_amount(text)


def parse_ratio(text: str) -> Fraction:
    """Return the positive ratio in ``text``: a decimal or ``p/q``.

    Raises:
        AmountError: not one, or zero.
    """
    match = _RATIO.fullmatch(text)
    if match is None:
        raise AmountError('write a positive decimal such as "16" or a fraction such as "45/2"')
    denominator = int(match[2]) if match[2] else 1
    if denominator == 0 or Fraction(Decimal(match[1])) == 0:
        raise AmountError("a ratio must be positive")
    return Fraction(Decimal(match[1])) / denominator


@lru_cache(VALUES_REMEMBERED)
def exact_text(value: Fraction) -> str:
    """Return ``value``, not negative, as decimal text if that is exact and short, else as ``p/q``."""
    rest, decimals = value.denominator, 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest //= prime
            power += 1
        decimals = max(decimals, power)
    if rest != 1 or decimals > DECIMALS_MAX:
        return f"{value.numerator}/{value.denominator}"
    if not decimals:
        return str(value.numerator)
    whole, part = divmod(value.numerator * 10**decimals // value.denominator, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


def read_exact(text: str) -> Fraction:
    """Return the value that :func:`exact_text` wrote.

    Raises:
        AmountError: the text is something else. It may come from a peer: its length is bounded.
    """
    match = _EXACT.fullmatch(text)
    if match is None or (match[3] and int(match[3]) == 0):
        raise AmountError("no exact amount")
    whole, decimals, denominator = match.groups()
    if decimals:
        return Fraction(int(whole + decimals), 10 ** len(decimals))
    return Fraction(int(whole), int(denominator or 1))


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
