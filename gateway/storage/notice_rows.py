"""Rows of notices: what peers have to be told, and what peers told of records that they gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.storage.driver_sql import execute, execute_many, fetch_all, fetch_one
from gateway.storage.node_tables import Transaction


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """Something of which a peer is to be told; ``method`` is the RPC that tells it."""

    notice_id: bytes
    method: str
    peer: str
    body: bytes


@dataclass(frozen=True, slots=True)
class HeardChangeRow:
    """What a peer gave in an exchange has changed; ``state`` is a ``RecordState``."""

    peer: str
    exchange_id: bytes
    commitment: bytes
    state: int
    changed_at: int
    heard_at: int


def insert_notices(transaction: Transaction, notices: Sequence[NoticeRow], now_ms: int) -> None:
    """Queue notices; one that is there already stays as it is."""
    execute_many(
        transaction,
        "INSERT INTO notice (notice_id, method, peer, body, created_at, delivered_at) "
        "VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
        [(row.notice_id, row.method, row.peer, row.body, now_ms) for row in notices],
    )


def read_pending_notices(transaction: Transaction, method: str, count: int) -> list[NoticeRow]:
    """Return up to ``count`` notices of ``method`` that no peer has confirmed, the oldest first."""
    rows = fetch_all(
        transaction,
        "SELECT notice_id, peer, body FROM notice WHERE delivered_at = 0 AND method = ? "
        "ORDER BY created_at, notice_id LIMIT ?",
        (method, count),
    )
    return [NoticeRow(bytes(row[0]), method, row[1], bytes(row[2])) for row in rows]


def count_pending_notices(transaction: Transaction, method: str) -> int:
    """Return how many notices of ``method`` no peer has confirmed."""
    row = fetch_one(
        transaction, "SELECT count(*) FROM notice WHERE delivered_at = 0 AND method = ?", (method,)
    )
    return 0 if row is None else int(row[0])


def mark_delivered(transaction: Transaction, notice_id: bytes, now_ms: int) -> None:
    """Note that the peer has confirmed a notice."""
    execute(transaction, "UPDATE notice SET delivered_at = ? WHERE notice_id = ?", (now_ms, notice_id))


def insert_heard_changes(transaction: Transaction, rows: Sequence[HeardChangeRow]) -> None:
    """Keep what a peer told of changes; of two that were made at one time the first stays."""
    execute_many(
        transaction,
        "INSERT INTO heard_change (peer, exchange_id, commitment, changed_at, state, heard_at) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [
            (row.peer, row.exchange_id, row.commitment, row.changed_at, row.state, row.heard_at)
            for row in rows
        ],
    )


def read_heard_changes(
    transaction: Transaction, since_ms: int, peer: str, count: int
) -> list[HeardChangeRow]:
    """Return up to ``count`` changes heard at ``since_ms`` or later, of one peer or all, in that order."""
    rows = fetch_all(
        transaction,
        "SELECT peer, exchange_id, commitment, state, changed_at, heard_at FROM heard_change "
        "WHERE heard_at >= ? AND (? = '' OR peer = ?) "
        "ORDER BY heard_at, peer, exchange_id, commitment LIMIT ?",
        (since_ms, peer, peer, count),
    )
    return [HeardChangeRow(row[0], bytes(row[1]), bytes(row[2]), row[3], row[4], row[5]) for row in rows]
