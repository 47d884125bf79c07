"""Rows about calls of the local API that must not be done twice. What was answered is stored encrypted."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.storage.driver_sql import execute, fetch_one
from gateway.storage.node_tables import Transaction


@dataclass(frozen=True, slots=True)
class IdempotentRow:
    """One call, by what it was called with."""

    tag: bytes
    """SHA-256 over caller, operation and the caller's key."""
    fingerprint: bytes
    """HMAC-SHA-256 of the request under the caller's key: whether a retry asks for the same."""
    begun_at: int
    """Milliseconds since 1970-01-01T00:00:00Z."""
    answer: bytes
    """Encrypted under the caller's key; empty while the call is worked on."""


def read_call(transaction: Transaction, tag: bytes) -> IdempotentRow | None:
    """Return the call with this tag."""
    row = fetch_one(
        transaction,
        "SELECT tag, fingerprint, begun_at, answer FROM idempotent_call WHERE tag = ?",
        (tag,),
    )
    return None if row is None else IdempotentRow(bytes(row[0]), bytes(row[1]), int(row[2]), bytes(row[3]))


def insert_call(transaction: Transaction, row: IdempotentRow) -> bool:
    """Insert a call; whether there was none with its tag."""
    inserted = fetch_one(
        transaction,
        "INSERT INTO idempotent_call (tag, fingerprint, begun_at, answer) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (tag) DO NOTHING RETURNING begun_at",
        (row.tag, row.fingerprint, row.begun_at, row.answer),
    )
    return inserted is not None


def update_answer(transaction: Transaction, tag: bytes, answer: bytes) -> None:
    """Keep what a call was answered with."""
    execute(transaction, "UPDATE idempotent_call SET answer = ? WHERE tag = ?", (answer, tag))


def delete_call(transaction: Transaction, tag: bytes) -> None:
    """Forget a call that did nothing, so that it may be tried again."""
    execute(transaction, "DELETE FROM idempotent_call WHERE tag = ?", (tag,))


def delete_calls(transaction: Transaction, before: int) -> None:
    """Forget calls that were begun before ``before``."""
    execute(transaction, "DELETE FROM idempotent_call WHERE begun_at < ?", (before,))
