"""The doctor's button: has the running node examine a peer, and says what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from creditexchange.v1 import operator_pb2
from creditexchange.v1.operator_pb2 import DiagnosisSide, DiagnosisState
from gateway.web.console.sources import RunningNode


@dataclass(frozen=True, slots=True)
class Finding:
    """One step of the diagnosis; the sentences are the doctor's own, in English."""

    name: str
    state: str
    """``ok``, ``note``, ``warning`` or ``fault``."""
    word: str
    """Stable word for what was found, for which the console has a phrase in each language."""
    seen: str
    expected: str
    side: str
    """``ours``, ``theirs``, ``network``, ``either``; empty when nothing is to be mended."""
    remedy: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All steps, and the one thing to mend first."""

    findings: Sequence[Finding]
    state: str
    word: str
    side: str
    remedy: str


def diagnose(node: RunningNode, node_id: str) -> Diagnosis:
    """Have the running node examine a peer, from the name of its endpoints to the grants.

    Raises:
        GatewayError: the node did not do it.
    """
    findings: list[Finding] = []
    verdict = operator_pb2.DiagnosisVerdict()
    for event in node.diagnose(operator_pb2.DiagnosePeerRequest(node_id=node_id)):
        if event.HasField("verdict"):
            verdict = event.verdict
            continue
        step = event.step
        findings.append(
            Finding(
                name=step.name,
                state=_state(step.state),
                word=step.finding,
                seen=step.seen,
                expected=step.expected,
                side=_side(step.side),
                remedy=step.remedy,
            )
        )
    return Diagnosis(findings, _state(verdict.state), verdict.finding, _side(verdict.side), verdict.remedy)


def _state(value: DiagnosisState.ValueType) -> str:
    return DiagnosisState.Name(value).removeprefix("DIAGNOSIS_STATE_").lower()


def _side(value: DiagnosisSide.ValueType) -> str:
    name = DiagnosisSide.Name(value).removeprefix("DIAGNOSIS_SIDE_").lower()
    return "" if name == "unspecified" else name
