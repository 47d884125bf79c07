"""The asking side: compose, dispatch, verify, log, merge, present."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gateway.errors import PeerFaultError
from gateway.exchange.asking.ask_peer import Asking, PeerTalk, ask_peer
from gateway.exchange.asking.askable import require_askable
from gateway.exchange.asking.choose_consent import Shown, choose_consent, consents_to_show
from gateway.exchange.asking.compose import compose, tokens_for
from gateway.exchange.asking.dispatch import dispatch
from gateway.exchange.asking.merge import merge
from gateway.exchange.asking.question import Archive, ArchiveEntry, PeerResult, Progress, Question
from gateway.exchange.messages import Snapshot
from gateway.peers.roster import Peer
from gateway.schemes import present_record
from gateway.telemetry import tracing
from gateway.telemetry.metrics import ASKING, Metrics


def ask(question: Question, snapshot: Snapshot, node: Asking) -> Archive:
    """Ask every peer of the question at once and return the merged archive.

    One dead or lying peer never spoils the others: the result names, per peer, what it gave or
    why it gave nothing.

    Raises:
        gateway.learners.identifier.IdentifierError: the learner's identifier is malformed.
        OperatorError: this node cannot ask at all (no federation secret, no database).
    """
    news = ask_each(question, snapshot, node)
    return gather([item for item in news if isinstance(item, PeerResult)], snapshot, node)


def gather(results: list[PeerResult], snapshot: Snapshot, node: Asking) -> Archive:
    """Merge what the peers gave into one archive, shown in this node's own scheme too."""
    results = sorted(results, key=lambda result: result.node_id)
    records = present(results, snapshot)
    _count_untranslated(records, node.metrics)
    return Archive(results, records)


def present(results: list[PeerResult], snapshot: Snapshot) -> list[ArchiveEntry]:
    """Return the records of ``results``, each once, in the shared model and in this node's own scheme."""
    return [
        ArchiveEntry(record, present_record(record, snapshot.scheme), provenance)
        for record, provenance in merge(results)
    ]


def ask_each(question: Question, snapshot: Snapshot, node: Asking) -> Iterator[Progress | PeerResult]:
    """Yield how asking goes on, and each peer's result as it comes; same errors as :func:`ask`."""
    tokens = tokens_for(question, snapshot)
    now = node.clock()
    willing: list[Peer] = []
    shown: dict[str, Shown] = {}
    held = consents_to_show(question, tokens.values(), node.log, snapshot)
    for peer in question.peers:
        try:
            shown[peer.node_id] = choose_consent(question, held, peer, tokens, snapshot, node.log, now)
            require_askable(
                peer,
                node.reaches,
                now,
                _deadline_s(peer, question, snapshot, node),
                spoken=snapshot.settings.versions,
                is_even_in_maintenance=question.is_even_in_maintenance,
            )
        except PeerFaultError as fault:
            yield PeerResult(peer.node_id, fault.outcome, str(fault), exchange_id=b"", elapsed_s=0.0)
        else:
            willing.append(peer)
    sequences = node.log.next_pair_sequences([peer.node_id for peer in willing])
    checkpoint = node.log.latest_checkpoint()
    trace = tracing.begin("question", peers=len(willing))
    talks = [
        PeerTalk(
            compose(
                shown[peer.node_id].question,
                peer,
                tokens[shown[peer.node_id].epoch],
                sequences[peer.node_id],
                snapshot,
                checkpoint=checkpoint,
                now=now,
                consent=shown[peer.node_id].consent,
                epoch=shown[peer.node_id].epoch,
            ),
            _deadline_s(peer, question, snapshot, node),
            snapshot,
            node,
            trace=trace,
        )
        for peer in willing
    ]
    try:
        yield from dispatch([partial(ask_peer, talk) for talk in talks])
    finally:
        tracing.end(trace)


def _deadline_s(peer: Peer, question: Question, snapshot: Snapshot, node: Asking) -> float:
    """What the caller said, else what node.toml says of this peer, else of all."""
    if question.deadline_s is not None:
        return question.deadline_s
    return node.settings.deadlines_s.get(peer.node_id, snapshot.settings.deadline_s)


def _count_untranslated(records: list[ArchiveEntry], metrics: Metrics) -> None:
    from creditexchange.v1.record_pb2 import LOSS_NO_RULE, Loss

    for entry in records:
        for step in entry.local.trace:
            if step.loss and not step.result:
                known = step.loss if step.loss in Loss.values() else LOSS_NO_RULE
                metrics.translation_failures.labels(ASKING, Loss.Name(known)).inc()
