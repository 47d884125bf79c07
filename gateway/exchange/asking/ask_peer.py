"""Ask one peer: send, verify, log; again while that is safe, worth while and in time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from gateway.audit import AuditLog
from gateway.clock import Clock, monotonic_s
from gateway.errors import PeerFaultError, RefusedError
from gateway.exchange.asking.askable import maintenance_of
from gateway.exchange.asking.compose import Composed, compose_again
from gateway.exchange.asking.dispatch import Tell
from gateway.exchange.asking.hedging import Stragglers, hedge
from gateway.exchange.asking.log import log_answer, log_no_answer
from gateway.exchange.asking.question import OK, PeerResult, Progress
from gateway.exchange.asking.retrying import LEFT_S_MIN, AskingSettings, pause_before_retry
from gateway.exchange.asking.verify import VerifiedAnswer, verify_answer, verify_refusal
from gateway.exchange.messages import Snapshot
from gateway.peers.caller import PeerCaller, RefusedByPeerError
from gateway.peers.reach import Reaches
from gateway.peers.roster import Peer
from gateway.telemetry import tracing
from gateway.telemetry.events import logger
from gateway.telemetry.metrics import ASKING, Metrics
from gateway.telemetry.timings import StepTimes

UNHEARD = frozenset({"UNREACHABLE", "NO_ANSWER"})
"""Outcomes by which a peer gave no sign of life."""

_log = logger("asking")


@dataclass(frozen=True)
class Asking:
    """What the asking side works with, beside the snapshot that each question gets."""

    caller: PeerCaller
    log: AuditLog
    metrics: Metrics
    clock: Clock
    settings: AskingSettings = field(default_factory=AskingSettings)
    reaches: Reaches = field(default_factory=Reaches)
    stragglers: Stragglers = field(default_factory=Stragglers)


@dataclass(frozen=True)
class PeerTalk:
    """The first message to a peer, and what governs the further ones."""

    first: Composed
    deadline_s: float
    snapshot: Snapshot
    node: Asking
    started_s: float = field(default_factory=monotonic_s)
    trace: Any = None
    """The span of the whole question, if there is one."""

    @property
    def peer(self) -> Peer:
        """Who is asked."""
        return self.first.peer

    @property
    def left_s(self) -> float:
        """What is left of the deadline, seconds."""
        return self.started_s + self.deadline_s - monotonic_s()


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What came back for one message: response bytes, or the fault in their place."""

    composed: Composed
    response: bytes | None
    fault: PeerFaultError | None
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class _Tried:
    """One message: the peer's result if it stays with that, and why it may be worth another."""

    result: PeerResult
    fault: PeerFaultError | None


def ask_peer(talk: PeerTalk, tell: Tell) -> PeerResult:
    """Return what the peer gave, or why it gave nothing. Every message that was sent is logged."""
    peer, node, attempt, composed = talk.peer, talk.node, 1, talk.first
    tell(Progress(peer.node_id, "asking", attempt))
    while True:
        sent, tried = _send(talk, composed, attempt, tell)
        attempt += sent
        pause_s = _pause_s(talk, tried.fault, attempt - 1)
        if tried.fault is None or pause_s is None:
            return tried.result
        tell(Progress(peer.node_id, "waiting", attempt - 1, str(tried.fault.message)))
        threading.Event().wait(pause_s)
        try:
            composed = _next(talk, attempt)
        except RefusedError as unlogged:
            return failed(composed, not_logged(unlogged), monotonic_s() - talk.started_s)
        node.metrics.retries.labels(node.metrics.peer(peer.node_id)).inc()
        tell(Progress(peer.node_id, "asking again", attempt, str(tried.fault.message)))


def _pause_s(talk: PeerTalk, fault: PeerFaultError | None, attempt: int) -> float | None:
    """Return how long to wait before the next message, or ``None`` when there is to be none."""
    node, node_id = talk.node, talk.peer.node_id
    if fault is None or attempt >= node.settings.attempts_max or node.reaches.rest_s(node_id):
        return None
    has_other = len(talk.peer.endpoints) > 1
    chance = random.random()  # noqa: S311 - nothing secret
    return pause_before_retry(fault, attempt, talk.left_s, chance, has_other_endpoint=has_other)


def _next(talk: PeerTalk, attempt: int) -> Composed:
    """Return the exchange's message number ``attempt``, for the next of the peer's endpoints.

    Raises:
        RefusedError: ``AUDIT_UNAVAILABLE``.
    """
    log, peer = talk.node.log, talk.peer
    turn = (attempt - 1) % len(peer.endpoints)
    turned = replace(peer, endpoints=peer.endpoints[turn:] + peer.endpoints[:turn])
    sequence = log.next_pair_sequences([peer.node_id])[peer.node_id]
    now = talk.node.clock()
    checkpoint = log.latest_checkpoint()
    return compose_again(talk.first, turned, sequence, talk.snapshot, checkpoint=checkpoint, now=now)


def _send(talk: PeerTalk, composed: Composed, attempt: int, tell: Tell) -> tuple[int, _Tried]:
    """Send one message, or a second one beside it if the peer is slow; return how many, and the best."""
    node, peer = talk.node, talk.peer
    slow_s = node.reaches.slow_s(peer.node_id) if node.settings.is_hedging else None
    if slow_s is None or slow_s + LEFT_S_MIN >= talk.left_s or attempt >= node.settings.attempts_max:
        return 1, _try(talk, composed)
    sent = [1]

    def second() -> _Tried:
        sent.append(1)
        tell(Progress(peer.node_id, "asking again", attempt + 1, f"no answer within {slow_s:.2f} s"))
        node.metrics.hedges.labels(node.metrics.peer(peer.node_id)).inc()
        return _try(talk, _next(talk, attempt + 1))

    tried = hedge(
        lambda: _try(talk, composed), second, slow_s, lambda one: one.result.outcome == OK, node.stragglers
    )
    return len(sent), tried


def _try(talk: PeerTalk, composed: Composed) -> _Tried:
    """Send one message; verify, log and count what comes."""
    exchange = composed.header.exchange_id.hex()
    with tracing.client("ask", talk.trace, peer=composed.peer.node_id, exchange=exchange):
        return _tried(talk, composed)


def _tried(talk: PeerTalk, composed: Composed) -> _Tried:
    times = StepTimes()
    node, dispatched = talk.node, _call(talk, composed)
    times.done("ask")
    fault = dispatched.fault
    try:
        answer = _verified(dispatched, talk.snapshot, node)
        times.done("verify")
        _note_clock(answer, dispatched, node)
        _log_or_raise(lambda: log_answer(composed, answer, node.log))
        result = _result_of(answer, dispatched)
    except PeerFaultError as unaccepted:
        fault = unaccepted
        result = failed(composed, fault, dispatched.elapsed_s)
        if fault.outcome != "AUDIT_UNAVAILABLE_HERE":
            try:
                log_no_answer(composed, fault.outcome, node.log)
            except RefusedError as unlogged:
                result = failed(composed, fault := not_logged(unlogged), dispatched.elapsed_s)
    times.done("log")
    note_reach(talk.peer, result, node)
    count_result(result, composed, node.metrics, len(result.records))
    outcome, peer = node.metrics.outcome(result.outcome), node.metrics.peer(result.node_id)
    node.metrics.timings.note(result.exchange_id, ASKING, peer, outcome, times.steps)
    return _Tried(result, fault)


def _call(talk: PeerTalk, composed: Composed) -> Dispatched:
    started_s = monotonic_s()
    try:
        response = talk.node.caller.call(
            composed.peer, composed.method, composed.request, max(0.0, talk.left_s)
        )
    except PeerFaultError as fault:
        return Dispatched(composed, None, fault, monotonic_s() - started_s)
    return Dispatched(composed, response, None, monotonic_s() - started_s)


def _note_clock(answer: VerifiedAnswer, dispatched: Dispatched, node: Asking) -> None:
    """Note by how much the peer's clock is ahead; it is wrong by half the time that the call took at most."""
    middle = node.clock() - timedelta(seconds=dispatched.elapsed_s / 2)
    peer = node.metrics.peer(dispatched.composed.peer.node_id)
    node.metrics.state.clock_offset.labels(peer).set((answer.issued - middle).total_seconds())


def note_reach(peer: Peer, result: PeerResult, node: Asking) -> None:
    """Tell the breaker. That a peer does not answer while it is in maintenance was to be expected."""
    reaches, node_id = node.reaches, result.node_id
    if result.outcome not in UNHEARD:
        reaches.heard_from(node_id, result.elapsed_s if result.outcome == OK else None)
    elif maintenance_of(peer.card, node.clock()) is None:
        reaches.failed(node_id)


def _log_or_raise(log: Callable[[], None]) -> None:
    try:
        log()
    except RefusedError as unlogged:
        raise not_logged(unlogged) from unlogged


def _verified(dispatched: Dispatched, snapshot: Snapshot, node: Asking) -> VerifiedAnswer:
    """Return the verified answer or signed refusal; raise what is neither."""
    composed, now = dispatched.composed, node.clock()
    if dispatched.response is not None:
        return verify_answer(composed, dispatched.response, snapshot, now)
    fault = dispatched.fault
    if isinstance(fault, RefusedByPeerError) and fault.details.signed is not None:
        return verify_refusal(composed, fault.details.signed, fault.details.reason, snapshot, now)
    assert fault is not None
    raise fault


def _result_of(answer: VerifiedAnswer, dispatched: Dispatched) -> PeerResult:
    fault = dispatched.fault
    return PeerResult(
        node_id=dispatched.composed.peer.node_id,
        outcome=answer.outcome,
        explanation="" if answer.outcome == OK else f"the peer refused: {fault}",
        exchange_id=dispatched.composed.header.exchange_id,
        elapsed_s=dispatched.elapsed_s,
        records=answer.content.records,
        signed_by=answer.signed_by,
        leaf_index=answer.receipt.leaf_index,
        receipt_verified=True,
        certificate=answer.content.certificate,
        held_kinds=answer.content.held_kinds,
    )


def failed(composed: Composed, fault: PeerFaultError, elapsed_s: float) -> PeerResult:
    """Return the result of a query that got no acceptable answer."""
    return PeerResult(
        node_id=composed.peer.node_id,
        outcome=fault.outcome,
        explanation=str(fault),
        exchange_id=composed.header.exchange_id,
        elapsed_s=elapsed_s,
    )


def not_logged(error: RefusedError) -> PeerFaultError:
    """Return what it is called when this node could not log the exchange."""
    return PeerFaultError(
        "AUDIT_UNAVAILABLE_HERE",
        f"this node could not log the exchange, so its result is not shown: {error.__cause__ or error}",
        remedy="Look at the node's database: `credit-gateway check`.",
    )


def count_result(result: PeerResult, composed: Composed, metrics: Metrics, records: int) -> None:
    """Count one exchange and write one line about it."""
    peer = metrics.peer(result.node_id)
    outcome = metrics.outcome(result.outcome)
    tracing.outcome(outcome)
    metrics.exchanges.labels(ASKING, peer, metrics.method(composed.method), outcome).inc()
    metrics.latency.labels(ASKING, peer).observe(result.elapsed_s)
    if records:
        metrics.records.labels(ASKING, peer).inc(records)
    if result.outcome == "ANSWER_NOT_SIGNED":
        metrics.signature_failures.labels(ASKING, peer).inc()
    _log.info(
        "exchange",
        peer=peer,
        method=metrics.method(composed.method),
        outcome=outcome,
        records=records,
        exchange=result.exchange_id.hex(),
        milliseconds=round(result.elapsed_s * 1000, 2),
    )
