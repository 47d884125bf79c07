"""The asking side: compose, dispatch, verify, log, merge, present."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import PeerFaultError, RefusedError
from gateway.exchange.asking.choose_consent import Shown, choose_consent, consents_to_show
from gateway.exchange.asking.compose import Composed, compose, token_for
from gateway.exchange.asking.dispatch import PEERS_AT_ONCE_MAX, Dispatched, dispatch
from gateway.exchange.asking.log import log_answer, log_no_answer
from gateway.exchange.asking.merge import merge
from gateway.exchange.asking.question import OK, Archive, ArchiveEntry, PeerResult, Question
from gateway.exchange.asking.verify import VerifiedAnswer, verify_answer, verify_refusal
from gateway.exchange.messages import Snapshot
from gateway.peers.caller import PeerCaller, RefusedByPeerError
from gateway.peers.roster import SUSPENDED, Peer
from gateway.schemes import present_record
from gateway.telemetry.events import logger
from gateway.telemetry.metrics import ASKING, Metrics

_log = logger("asking")


@dataclass(frozen=True)
class Asking:
    """What the asking side works with, beside the snapshot that each question gets."""

    caller: PeerCaller
    log: AuditLog
    metrics: Metrics
    clock: Clock


def ask(question: Question, snapshot: Snapshot, node: Asking) -> Archive:
    """Ask every peer of the question at once and return the merged archive.

    One dead or lying peer never spoils the others: the result names, per peer, what it gave or
    why it gave nothing.

    Raises:
        gateway.learners.identifier.IdentifierError: the learner's identifier is malformed.
        OperatorError: this node cannot ask at all (no federation secret, no database).
    """
    results = sorted(ask_each(question, snapshot, node), key=lambda result: result.node_id)
    records = [
        ArchiveEntry(record, present_record(record, snapshot.scheme), provenance)
        for record, provenance in merge(results)
    ]
    _count_untranslated(records, node.metrics)
    return Archive(results, records)


def ask_each(question: Question, snapshot: Snapshot, node: Asking) -> Iterator[PeerResult]:
    """Yield each peer's result as it comes; same errors as :func:`ask`."""
    token = token_for(question, snapshot)
    now = node.clock()
    willing = []
    shown: dict[str, Shown] = {}
    held = consents_to_show(question, token, node.log)
    for peer in question.peers:
        try:
            require_askable(peer, node)
            shown[peer.node_id] = choose_consent(question, held, peer, token, snapshot, node.log, now)
        except PeerFaultError as fault:
            yield _result_without_exchange(peer, fault)
        else:
            willing.append(peer)
    sequences = node.log.next_pair_sequences([peer.node_id for peer in willing])
    checkpoint = node.log.latest_checkpoint()
    queries = [
        compose(
            shown[peer.node_id].question,
            peer,
            token,
            sequences[peer.node_id],
            snapshot,
            checkpoint=checkpoint,
            now=now,
            consent=shown[peer.node_id].consent,
        )
        for peer in willing
    ]
    if not queries:
        return
    workers = min(len(queries), PEERS_AT_ONCE_MAX)
    for dispatched in dispatch(
        queries, node.caller, question.deadline_s, lambda: ThreadPoolExecutor(workers, "asking")
    ):
        yield _conclude(dispatched, snapshot, node)


def require_askable(peer: Peer, node: Asking) -> None:
    """Return if this node may ask ``peer``.

    Raises:
        PeerFaultError: ``PEER_SUSPENDED_HERE`` or ``CARD_EXPIRED_HERE``.
    """
    if peer.state == SUSPENDED:
        raise PeerFaultError(
            "PEER_SUSPENDED_HERE",
            "this node's operator suspended the peer.",
            remedy='Set state = "active" in its peer file to ask it again.',
        )
    if peer.card.expires <= node.clock():
        raise PeerFaultError(
            "CARD_EXPIRED_HERE",
            f"the peer's card expired on {peer.card.expires:%Y-%m-%d}.",
            remedy="Ask its operator for the newest card and run `credit-gateway peers add`.",
        )


def _conclude(dispatched: Dispatched, snapshot: Snapshot, node: Asking) -> PeerResult:
    """Verify and log what came for one query, and turn it into the peer's result."""
    composed = dispatched.composed
    try:
        answer = _verified(dispatched, snapshot, node)
        log_answer(composed, answer, node.log)
        result = _result_of(answer, dispatched)
    except PeerFaultError as fault:
        result = failed(composed, fault, dispatched.elapsed_s)
        try:
            log_no_answer(composed, fault.outcome, node.log)
        except RefusedError as unlogged:
            result = failed(composed, not_logged(unlogged), dispatched.elapsed_s)
    except RefusedError as unlogged:
        result = failed(composed, not_logged(unlogged), dispatched.elapsed_s)
    count_result(result, composed, node.metrics, len(result.records))
    return result


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


def _result_without_exchange(peer: Peer, fault: PeerFaultError) -> PeerResult:
    return PeerResult(peer.node_id, fault.outcome, str(fault), exchange_id=b"", elapsed_s=0.0)


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


def _count_untranslated(records: list[ArchiveEntry], metrics: Metrics) -> None:
    from creditexchange.v1.record_pb2 import LOSS_NO_RULE, Loss

    for entry in records:
        for step in entry.local.trace:
            if step.loss and not step.result:
                known = step.loss if step.loss in Loss.values() else LOSS_NO_RULE
                metrics.translation_failures.labels(ASKING, Loss.Name(known)).inc()
