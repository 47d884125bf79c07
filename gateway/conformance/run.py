"""Runs the cases one after the other. What a busy node did not hear is sent again, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.clock import monotonic_s
from gateway.conformance.case import Case
from gateway.conformance.expectation import DepartureError, Verdict, judge
from gateway.conformance.session import BusyError, Session

Outcome = Literal["passed", "failed", "not run"]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one case."""

    case: Case
    outcome: Outcome
    happened: str
    """What came back and how it departed from the rule; or why the case was not run."""
    elapsed_s: float


def run_cases(
    session: Session, cases: Sequence[Case], tell: Callable[[CaseResult], None] = lambda _result: None
) -> list[CaseResult]:
    """Run ``cases`` in their order; ``tell`` hears each result as it comes."""
    results = []
    for case in cases:
        result = _run(session, case)
        tell(result)
        results.append(result)
    return results


def _run(session: Session, case: Case) -> CaseResult:
    missing = [reason for need in case.needs if (reason := need(session))]
    if missing:
        return CaseResult(case, "not run", "; ".join(missing), 0.0)
    started_s = monotonic_s()
    try:
        verdict = _try(session, case)
    except BusyError as busy:
        return CaseResult(case, "not run", busy.message, monotonic_s() - started_s)
    outcome: Outcome = "passed" if verdict.passed else "failed"
    return CaseResult(case, outcome, verdict.happened, monotonic_s() - started_s)


def _try(session: Session, case: Case) -> Verdict:
    try:
        replies = case.run(session)
    except DepartureError as departure:
        return Verdict(passed=False, happened=str(departure))
    return judge(case.must, replies)
