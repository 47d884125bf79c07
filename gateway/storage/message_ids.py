"""Rows of the replay guard and of the pair sequences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from gateway.storage.driver_sql import execute, fetch_all, fetch_one, is_sqlite
from gateway.storage.joined_sql import Values
from gateway.storage.node_tables import Transaction


def insert_new_ids(transaction: Transaction, ids: Sequence[tuple[bytes, int]]) -> set[bytes]:
    """Remember (message id, expires_at) pairs and return the ids that were not there before.

    One statement whatever the number, so that a replay neither fails nor slows its neighbours.
    """
    if not ids:
        return set()
    values: Values
    if is_sqlite(transaction):
        statement, values = _insert_of(len(ids)), tuple(value for pair in ids for value in pair)
    else:
        statement, values = _INSERT_ARRAYS, ([pair[0] for pair in ids], [pair[1] for pair in ids])
    return {bytes(row[0]) for row in fetch_all(transaction, statement, values)}


_INSERT_ARRAYS = (
    "INSERT INTO seen_message (message_id, expires_at) SELECT * FROM unnest(%b::bytea[], %b::bigint[]) "
    "ON CONFLICT DO NOTHING RETURNING message_id"
)


@cache
def _insert_of(count: int) -> str:
    rows = ", ".join(["(?, ?)"] * count)
    return (
        f"INSERT INTO seen_message (message_id, expires_at) VALUES {rows} "  # noqa: S608 - only placeholders
        "ON CONFLICT DO NOTHING RETURNING message_id"
    )


def is_seen(transaction: Transaction, message_id: bytes) -> bool:
    """Whether the guard remembers ``message_id``."""
    return (
        fetch_one(transaction, "SELECT 1 FROM seen_message WHERE message_id = ?", (message_id,)) is not None
    )


def delete_expired_ids(transaction: Transaction, now_ms: int) -> int:
    """Forget ids that time alone refuses by now; return how many."""
    return execute(transaction, "DELETE FROM seen_message WHERE expires_at < ?", (now_ms,))


def next_sequence(transaction: Transaction, peer: str) -> int:
    """Count one message to ``peer`` and return its number, from 1 without gaps."""
    row = fetch_one(
        transaction,
        "INSERT INTO pair_sequence (peer, last) VALUES (?, 1) "
        "ON CONFLICT (peer) DO UPDATE SET last = pair_sequence.last + 1 RETURNING last",
        (peer,),
    )
    assert row is not None
    return int(row[0])


def get_fact(transaction: Transaction, name: str) -> str | None:
    """Return the value of a fact about the store."""
    row = fetch_one(transaction, "SELECT value FROM node_fact WHERE name = ?", (name,))
    return None if row is None else str(row[0])


def delete_fact(transaction: Transaction, name: str) -> None:
    """Forget a fact about the store."""
    execute(transaction, "DELETE FROM node_fact WHERE name = ?", (name,))


def put_fact(transaction: Transaction, name: str, value: str) -> None:
    """Set a fact about the store."""
    execute(
        transaction,
        "INSERT INTO node_fact (name, value) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )
