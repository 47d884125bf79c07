"""One value step by step, in rows that a registrar can read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from creditexchange.v1.record_pb2 import RuleApplication
from gateway.schemes.local_record import LocalRecord
from gateway.schemes.present import present_record
from gateway.schemes.scheme import Scheme
from gateway.schemes.shared_words import LOSSES
from gateway.schemes.translate import translate_record


@dataclass(frozen=True, slots=True)
class Step:
    """One use of one rule, as text."""

    path: str
    original: str
    result: str
    rule: str
    scheme: str
    unrounded: str
    rounding: str
    loss: str
    note: str


def explain(record: LocalRecord, source: Scheme, target: Scheme | None) -> list[Step]:
    """Return every step from ``source``'s words to the shared model, and on into ``target``'s.

    Raises:
        UntranslatableError: a value of the record can only be a mistake.
    """
    shared = translate_record(record, source, source.scheme_id)
    steps = list(_steps(shared.trace))
    if target is not None:
        steps += _steps(present_record(shared, target).trace)
    return steps


def _steps(trace: Iterable[RuleApplication]) -> Iterable[Step]:
    for step in trace:
        yield Step(
            path=step.path,
            original=step.original,
            result=step.result or "untranslated",
            rule=step.rule,
            scheme=f"{step.scheme.scheme_id} {step.scheme.version}",
            unrounded=step.unrounded,
            rounding=step.rounding,
            loss=LOSSES.word(step.loss),
            note=step.note,
        )
