"""Step 8, count: metrics and one log line. Nothing here can fail the exchange."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from gateway.exchange.messages import IncomingCall, Opened
from gateway.telemetry import tracing
from gateway.telemetry.events import logger
from gateway.telemetry.metrics import ANSWERING, AnsweredCall, Metrics
from gateway.telemetry.timings import StepTimes

_log = logger("answering")


def count(
    call: IncomingCall,
    opened: Opened[Any] | None,
    outcome: str,
    record_count: int,
    times: StepTimes,
    metrics: Metrics,
) -> None:
    """Count one answered or refused call and write one line about it."""
    peer, method = metrics.peer(call.peer.node_id), metrics.method(call.method)
    outcome_label = metrics.outcome(outcome)
    tracing.outcome(outcome_label)
    offset_s = None
    if opened is not None and opened.authenticated:
        offset_s = (opened.header.issue_time.ToDatetime(UTC) - call.received_at).total_seconds()
    metrics.answered(
        AnsweredCall(peer, method, outcome_label, record_count, times.total_s, tuple(times.steps), offset_s)
    )
    _log.info(
        "exchange",
        peer=peer,
        method=method,
        outcome=outcome_label,
        records=record_count,
        exchange=opened.header.exchange_id.hex() if opened is not None else None,
        milliseconds=round(times.total_s * 1000, 2),
    )
    if opened is not None:
        times.done("count")
        metrics.timings.note(opened.header.exchange_id, ANSWERING, peer, outcome_label, times.steps)
