"""Who asked about a learner, answered to local callers."""

from __future__ import annotations

from typing import Protocol

from creditexchange.v1 import archive_pb2
from gateway.audit import AuditLog, management_entry
from gateway.audit.entry import parse_leaf
from gateway.exchange.collect_evidence import Collector
from gateway.exchange.messages import Snapshot
from gateway.rpc.issued_consents import subject_tokens
from gateway.storage import audit_rows, evidence_rows

LEARNER_ASKED = "learner-asked"
"""Reason in the log's entry about the look itself."""


class Logging(Protocol):
    """What the look works with; ``gateway.exchange.asking.ask_peer.Asking`` has it."""

    @property
    def log(self) -> AuditLog:
        """The node's audit log."""
        ...


def accesses_message(
    request: archive_pb2.ListAccessesRequest, snapshot: Snapshot, node: Logging
) -> archive_pb2.ListAccessesResponse:
    """Return every entry about one learner, and log that it was looked at, without saying about whom.

    Raises:
        IdentifierError: the identifier is malformed.
        OperatorError: this node has no federation secret.
        RefusedError: ``AUDIT_UNAVAILABLE``; nothing is told.
    """
    tokens = subject_tokens(request.identifier_type, request.learner_identifier, snapshot)
    with node.log.reading() as connection:
        collector = Collector(connection, node.log.vault, (snapshot.node_id, *snapshot.roster.peers))
        refs = [ref for token in tokens for ref in collector.vault.subject_refs(token)]
        parts = evidence_rows.read_parts_of_subjects(connection, refs) if refs else []
        accesses = [_access(collector, part) for part in parts]
    node.log.append(management_entry("subject-access", reason=LEARNER_ASKED, count=len(accesses)))
    return archive_pb2.ListAccessesResponse(accesses=accesses)


def _access(collector: Collector, part: evidence_rows.PartRow) -> archive_pb2.Access:
    row = audit_rows.read_entry(collector.connection, part.idx)
    assert row is not None, "evidence belongs to an entry"
    draft = collector.share_of(row, part.part)
    return archive_pb2.Access(
        index=row.idx,
        log_ms=parse_leaf(row.leaf).logged_at_ms,
        kind=draft.kind,
        action=draft.action,
        asking_node_id=draft.asker,
        answering_node_id=draft.answerer,
        peer_node_id=draft.peer,
        purpose=draft.purpose or draft.reason,
        outcome=draft.outcome,
        record_count=draft.count,
        exchange_id=draft.exchange_id,
    )
