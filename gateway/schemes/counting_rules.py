"""Rules by which the records of one learner count together, declared and compiled.

A value is translated by itself; how much of it *counts* beside others is another question. Nothing
here changes a translation: what a cap cuts off stays visible as a remainder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

from gateway.schemes.declared import CapTable, CountingTable, ReplacementTable
from gateway.schemes.ratio import parse_amount, parse_ratio
from gateway.schemes.shared_words import KINDS

Repeats = Literal["best", "latest", "first"]
Scope = Literal["record", "issuer", "term", "year", "all"]


@dataclass(frozen=True, slots=True)
class CapRule:
    """At most so many credits of some kinds count within a scope."""

    cap_id: str
    unit: str
    kinds: frozenset[int]
    """Empty: every kind."""
    scope: Scope
    amount: Fraction


@dataclass(frozen=True, slots=True)
class ReplacedCourse:
    """A course for which a certificate may stand."""

    code: str
    credits: Fraction
    levels: frozenset[str]
    """Levels of the certificate that may replace it; empty: every level."""


@dataclass(frozen=True, slots=True)
class ReplacementRule:
    """The courses for which one certificate may stand."""

    certificate: str
    unit: str
    courses: tuple[ReplacedCourse, ...]


@dataclass(frozen=True, slots=True)
class CountingRules:
    """All of them. An empty set caps and replaces nothing, and leaves repeated courses undecided."""

    repeats: Repeats | None = None
    term_starts: tuple[int, ...] = ()
    """Months in which a term begins, rising."""
    caps: tuple[CapRule, ...] = ()
    replacements: Mapping[str, ReplacementRule] = field(default_factory=lambda: MappingProxyType({}))
    """By the province's code of the certificate."""


def compile_counting(
    counting: CountingTable | None, caps: tuple[CapTable, ...], replacements: tuple[ReplacementTable, ...]
) -> CountingRules:
    """Return the rules that the tables, found free of contradictions, declare."""
    return CountingRules(
        repeats=counting.repeats if counting is not None else None,
        term_starts=counting.term_starts if counting is not None else (),
        caps=tuple(_compile_cap(cap) for cap in caps),
        replacements=MappingProxyType(
            {table.certificate: _compile_replacement(table) for table in replacements}
        ),
    )


def amount_of(cap: CapTable) -> Fraction:
    """Return the amount of a cap that declares either ``amount``, or ``share`` and ``of``."""
    if cap.amount is not None:
        return parse_amount(cap.amount)
    return parse_ratio(cap.share or "1") * parse_amount(cap.of or "0")


def _compile_cap(cap: CapTable) -> CapRule:
    return CapRule(
        cap_id=cap.id,
        unit=cap.unit,
        kinds=frozenset(KINDS.value(kind) for kind in cap.kinds),
        scope=cap.scope,
        amount=amount_of(cap),
    )


def _compile_replacement(table: ReplacementTable) -> ReplacementRule:
    return ReplacementRule(
        certificate=table.certificate,
        unit=table.unit,
        courses=tuple(
            ReplacedCourse(course.code, parse_amount(course.credits), frozenset(course.levels))
            for course in table.courses
        ),
    )
