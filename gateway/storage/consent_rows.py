"""Rows of consents: which this node issued, which were revoked anywhere, and who is told.

Nothing here is personal: the consent itself, which names a learner, is an opening of the audit
entry about it (``evidence_rows``) and is encrypted and erased like every opening.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.storage.driver_sql import execute, execute_many, fetch_all, fetch_one
from gateway.storage.node_tables import Transaction

EVERY_NODE = "*"
"""Stands for the peer in the scope of a consent that every node may answer."""


@dataclass(frozen=True, slots=True)
class IssuedRow:
    """A consent that this node issued; the audit entry whose ``exchange_id`` is its id keeps it."""

    consent_id: bytes
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class RevokedRow:
    """A consent that its issuer has revoked."""

    issuer: str
    consent_id: bytes
    revoked_at: int
    expires_at: int


def insert_issued(transaction: Transaction, row: IssuedRow) -> None:
    """Keep the name and the times of an issued consent; one of that id that is there already stays."""
    execute(
        transaction,
        "INSERT INTO issued_consent (consent_id, issued_at, expires_at) VALUES (?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (row.consent_id, row.issued_at, row.expires_at),
    )


def list_issued(transaction: Transaction) -> list[IssuedRow]:
    """Return every consent that this node issued, the oldest first."""
    rows = fetch_all(
        transaction,
        "SELECT consent_id, issued_at, expires_at FROM issued_consent ORDER BY issued_at, consent_id",
    )
    return [IssuedRow(bytes(row[0]), row[1], row[2]) for row in rows]


def insert_revoked(transaction: Transaction, row: RevokedRow) -> bool:
    """Keep a revocation; return whether it is new. The first one stays."""
    return (
        execute(
            transaction,
            "INSERT INTO revoked_consent (issuer, consent_id, revoked_at, expires_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            (row.issuer, row.consent_id, row.revoked_at, row.expires_at),
        )
        == 1
    )


def is_revoked(transaction: Transaction, issuer: str, consent_id: bytes) -> bool:
    """Whether ``issuer`` has revoked the consent, as far as this node was told."""
    found = fetch_one(
        transaction, "SELECT 1 FROM revoked_consent WHERE issuer = ? AND consent_id = ?", (issuer, consent_id)
    )
    return found is not None


def count_revoked_by(transaction: Transaction, issuer: str) -> int:
    """Return how many consents that ``issuer`` has revoked are remembered."""
    row = fetch_one(transaction, "SELECT count(*) FROM revoked_consent WHERE issuer = ?", (issuer,))
    return 0 if row is None else int(row[0])


def queue_revocation(transaction: Transaction, consent_id: bytes, peers: Sequence[str], scope: str) -> None:
    """Queue a revocation for ``peers``; ``scope`` is :data:`EVERY_NODE` or empty."""
    execute_many(
        transaction,
        "INSERT INTO revocation_notice (consent_id, peer, delivered_at) VALUES (?, ?, 0) "
        "ON CONFLICT DO NOTHING",
        [(consent_id, peer) for peer in (*peers, *([scope] if scope else []))],
    )


def read_pending_revocations(
    transaction: Transaction, issuer: str, peer: str, now_ms: int, count: int
) -> list[RevokedRow]:
    """Return up to ``count`` revocations of live consents that ``peer`` has not confirmed, in order."""
    rows = fetch_all(
        transaction,
        "SELECT r.consent_id, r.revoked_at, r.expires_at FROM revocation_notice n "
        "JOIN revoked_consent r ON r.consent_id = n.consent_id AND r.issuer = ? "
        "WHERE n.delivered_at = 0 AND n.peer = ? AND r.expires_at > ? "
        "ORDER BY r.revoked_at, r.consent_id LIMIT ?",
        (issuer, peer, now_ms, count),
    )
    return [RevokedRow(issuer, bytes(row[0]), row[1], row[2]) for row in rows]


def count_pending_revocations(transaction: Transaction, issuer: str, now_ms: int) -> int:
    """Return how many revocations of live consents some peer has not confirmed, one a peer."""
    row = fetch_one(
        transaction,
        "SELECT count(*) FROM revocation_notice n "
        "JOIN revoked_consent r ON r.consent_id = n.consent_id AND r.issuer = ? "
        "WHERE n.delivered_at = 0 AND n.peer <> ? AND r.expires_at > ?",
        (issuer, EVERY_NODE, now_ms),
    )
    return 0 if row is None else int(row[0])


def mark_revocation_delivered(transaction: Transaction, consent_id: bytes, peer: str, now_ms: int) -> None:
    """Note that the peer has confirmed a revocation."""
    execute(
        transaction,
        "UPDATE revocation_notice SET delivered_at = ? WHERE consent_id = ? AND peer = ?",
        (now_ms, consent_id, peer),
    )


def read_revocations_for(
    transaction: Transaction, issuer: str, peer: str, after: tuple[int, bytes], now_ms: int, count: int
) -> list[RevokedRow]:
    """Return up to ``count`` revocations by ``issuer`` of live consents that concern ``peer``.

    They come in the order of time and consent id, beginning after ``after`` (an empty id comes
    before every other).
    """
    rows = fetch_all(
        transaction,
        "SELECT r.consent_id, r.revoked_at, r.expires_at FROM revoked_consent r WHERE r.issuer = ? "
        "AND r.expires_at > ? AND (r.revoked_at > ? OR (r.revoked_at = ? AND r.consent_id > ?)) "
        "AND EXISTS (SELECT 1 FROM revocation_notice n WHERE n.consent_id = r.consent_id "
        "AND n.peer IN (?, ?)) ORDER BY r.revoked_at, r.consent_id LIMIT ?",
        (issuer, now_ms, after[0], after[0], after[1], peer, EVERY_NODE, count),
    )
    return [RevokedRow(issuer, bytes(row[0]), row[1], row[2]) for row in rows]


def delete_expired_revocations(transaction: Transaction, before_ms: int) -> None:
    """Forget revocations of consents that ended before ``before_ms``: time alone refuses those."""
    execute(
        transaction,
        "DELETE FROM revocation_notice WHERE consent_id IN "
        "(SELECT consent_id FROM revoked_consent WHERE expires_at < ?)",
        (before_ms,),
    )
    execute(transaction, "DELETE FROM revoked_consent WHERE expires_at < ?", (before_ms,))
