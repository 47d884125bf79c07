"""Erases openings: data keys, ciphertext and the index of whom they are about.

Signed bytes, leaves and proofs hold commitments only and stay; they verify as before. The erasure
is an entry itself, in the same transaction, with how many parts and why, and not about whom.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from creditexchange.v1.audit_pb2 import ErasureNoticeBody
from gateway.audit.entry import management_entry
from gateway.audit.log import AuditLog
from gateway.audit.retention import RETENTION, drop_months
from gateway.clock import Clock, new_id, unix_ms
from gateway.storage import evidence_rows, notice_rows
from gateway.storage.evidence_rows import PartRow
from gateway.storage.node_tables import Transaction
from gateway.storage.notice_rows import NoticeRow

NOTICE_EXCHANGES_MAX = 1_000
"""Most exchanges of one notice."""
PARTS_AT_ONCE = 5_000
"""Most parts of one transaction."""

NOTIFY_ERASURE = "/creditexchange.v1.AuditLogService/NotifyErasure"
"""By which method peers are told."""

LEARNER_REQUEST = "learner-request"


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased."""

    parts: int
    """Parts of openings: one for each learner and exchange."""
    notices: int
    """Notices that were queued for peers."""
    is_gone: bool
    """Whether the bytes have left the database's files as well."""


def erase_learner(log: AuditLog, clock: Clock, subject_tokens: Sequence[bytes], reason: str) -> Erased:
    """Erase every opening about one learner, who has one subject token for each live epoch.

    Raises:
        EntryError: ``reason`` is not one lower-case word with hyphens.
        RefusedError: ``AUDIT_UNAVAILABLE``; nothing was erased.
        StorageError: the database cannot be read or written.
    """
    refs = [ref for token in subject_tokens for ref in log.vault.subject_refs(token)]
    with log.reading() as connection:
        parts = evidence_rows.read_parts_of_subjects(connection, refs) if refs else []
    notices = _erase(log, clock, parts, reason)
    return Erased(len(parts), notices, log.scrub({part.expires_at for part in parts}))


def erase_expired(log: AuditLog, clock: Clock, before_ms: int) -> Erased:
    """Erase every opening whose retention ended before ``before_ms``; raises as :func:`erase_learner`."""
    total, notices = drop_months(log, before_ms), 0
    touched: set[int] = set()
    while True:
        with log.reading() as connection:
            parts = evidence_rows.read_expired_parts(connection, before_ms, PARTS_AT_ONCE)
        if not parts:
            return Erased(total, notices, log.scrub(touched))
        touched.update(part.expires_at for part in parts)
        notices += _erase(log, clock, parts, RETENTION)
        total += len(parts)


def _erase(log: AuditLog, clock: Clock, parts: Sequence[PartRow], reason: str) -> int:
    """Erase ``parts`` and append the entry about it as one; return how many notices that queued."""
    notices = _notices(parts, reason) if reason != RETENTION else []
    now_ms = unix_ms(clock())

    def erase(transaction: Transaction) -> None:
        evidence_rows.delete_parts(transaction, parts)
        notice_rows.insert_notices(transaction, notices, now_ms)

    log.append(management_entry("erasure", reason=reason, count=len(parts)), beside=erase)
    return len(notices)


def _notices(parts: Sequence[PartRow], reason: str) -> list[NoticeRow]:
    """Return what each peer is told. Retention is everybody's own calendar and told to nobody."""
    by_peer: dict[str, dict[tuple[bytes, int], None]] = defaultdict(dict)
    for part in parts:
        if part.peer:  # a consent that was issued here is kept here only
            by_peer[part.peer][part.exchange_id, part.part] = None
    return [
        _notice(peer, places[at : at + NOTICE_EXCHANGES_MAX], reason)
        for peer, found in sorted(by_peer.items())
        for places in (list(found),)
        for at in range(0, len(places), NOTICE_EXCHANGES_MAX)
    ]


def _notice(peer: str, places: Sequence[tuple[bytes, int]], reason: str) -> NoticeRow:
    """Return the notice about exchanges and, where one was in bulk, whose place in it."""
    positions = [position for _, position in places]
    body = ErasureNoticeBody(
        notice_id=new_id(),
        exchange_ids=[exchange_id for exchange_id, _ in places],
        reason=reason,
        subject_positions=positions if any(positions) else (),
    )
    return NoticeRow(body.notice_id, NOTIFY_ERASURE, peer, body.SerializeToString())
