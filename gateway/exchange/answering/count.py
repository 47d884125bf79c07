"""Step 8, count: metrics and one log line. Nothing here can fail the exchange."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from gateway.exchange.messages import IncomingCall, Opened
from gateway.telemetry import tracing
from gateway.telemetry.events import logger
from gateway.telemetry.metrics import ANSWERING, Metrics
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
    peer = metrics.peer(call.peer.node_id)
    outcome_label = metrics.outcome(outcome)
    tracing.outcome(outcome_label)
    method = metrics.method(call.method)
    exchanges, latency, records = metrics.answered(peer, method, outcome_label)
    exchanges.inc()
    latency.observe(times.total_s)
    for step, seconds in times.steps:
        metrics.step(step).observe(seconds)
    if record_count:
        records.inc(record_count)
    if outcome != "OK":
        metrics.refusals.labels(peer, outcome_label).inc()
    if outcome == "REPLAYED_MESSAGE":
        metrics.replays.labels(peer).inc()
    if outcome in ("INVALID_SIGNATURE", "UNKNOWN_KEY"):
        metrics.signature_failures.labels(ANSWERING, peer).inc()
    if opened is not None and opened.authenticated:
        ahead = opened.header.issue_time.ToDatetime(UTC) - call.received_at
        metrics.state.clock_offset.labels(peer).set(ahead.total_seconds())
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
