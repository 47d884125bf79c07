"""Step 8, count: metrics and one log line. Nothing here can fail the exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from gateway.clock import monotonic_s
from gateway.exchange.messages import IncomingCall, Opened
from gateway.telemetry import tracing
from gateway.telemetry.events import logger
from gateway.telemetry.metrics import ANSWERING, Metrics

_log = logger("answering")


@dataclass
class StepTimes:
    """How long each step took, in seconds, in the order they ran."""

    started_s: float = field(default_factory=monotonic_s)
    steps: list[tuple[str, float]] = field(default_factory=list)
    _last_s: float = 0.0

    def __post_init__(self) -> None:
        """Start the first step's clock."""
        self._last_s = self.started_s

    def done(self, step: str) -> None:
        """Note that ``step`` ended now."""
        now_s = monotonic_s()
        self.steps.append((step, now_s - self._last_s))
        tracing.step(step, now_s - self._last_s)
        self._last_s = now_s

    @property
    def total_s(self) -> float:
        """From the start to the end of the last step, seconds."""
        return self._last_s - self.started_s


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
    metrics.exchanges.labels(ANSWERING, peer, metrics.method(call.method), outcome_label).inc()
    metrics.latency.labels(ANSWERING, peer).observe(times.total_s)
    for step, seconds in times.steps:
        metrics.step_latency.labels(step).observe(seconds)
    if record_count:
        metrics.records.labels(ANSWERING, peer).inc(record_count)
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
        method=metrics.method(call.method),
        outcome=outcome_label,
        records=record_count,
        exchange=opened.header.exchange_id.hex() if opened is not None else None,
        milliseconds=round(times.total_s * 1000, 2),
    )
