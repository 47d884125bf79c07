"""A diagnosis as messages of the operator port."""

from __future__ import annotations

from collections.abc import Iterator

from creditexchange.v1.operator_pb2 import (
    DiagnosePeerRequest,
    DiagnosePeerResponse,
    DiagnosisStep,
    DiagnosisVerdict,
)
from gateway.doctor.agreement import Wish
from gateway.doctor.diagnose import Doctor
from gateway.doctor.step import Step, Verdict
from gateway.errors import CallerError
from gateway.policy.purposes import PURPOSES
from gateway.rpc.archive_messages import kinds_of, peers_of


def diagnosis_events(request: DiagnosePeerRequest, doctor: Doctor) -> Iterator[DiagnosePeerResponse]:
    """Yield every step as it is done, the verdict last.

    Raises:
        CallerError: the peer, the purpose or a kind is unknown.
    """
    (peer,) = peers_of([request.node_id], doctor.snapshot)
    if request.purpose not in (0, *PURPOSES.values()):
        raise CallerError("purpose: it is unknown.", remedy=f"Use one of: {', '.join(PURPOSES)}.")
    kinds = kinds_of(list(request.kinds)) if request.kinds else ()
    wish = Wish(request.purpose, kinds, request.without_consent)
    for event in doctor.diagnose(peer, wish):
        yield event_message(event)


def event_message(event: Step | Verdict) -> DiagnosePeerResponse:
    """Return one event of a diagnosis as a message."""
    if isinstance(event, Verdict):
        verdict = DiagnosisVerdict(
            state=event.state.value,  # type: ignore[arg-type]  # enum values are plain integers
            finding=event.finding,
            step=event.step,
            side=event.side.value,  # type: ignore[arg-type]
            remedy=event.remedy,
        )
        return DiagnosePeerResponse(verdict=verdict)
    step = DiagnosisStep(
        name=event.name,
        state=event.state.value,  # type: ignore[arg-type]
        finding=event.finding,
        tried=event.tried,
        seen=event.seen,
        expected=event.expected,
        side=event.side.value,  # type: ignore[arg-type]
        remedy=event.remedy,
    )
    return DiagnosePeerResponse(step=step)
