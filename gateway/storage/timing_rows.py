"""Rows of step times: how long each step of a recent exchange took. A bounded memory, not evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.storage.driver_sql import execute, execute_many, fetch_all, fetch_one
from gateway.storage.node_tables import Transaction


@dataclass(frozen=True, slots=True)
class TimingRow:
    """The step times of one message of an exchange, on this node's side."""

    exchange_id: bytes
    role: str
    """``asking`` or ``answering``."""
    ended_at: int
    """Milliseconds since 1970-01-01T00:00:00Z."""
    peer: str
    outcome: str
    steps: str
    """``name=microseconds`` joined by blanks, in the order in which they ran."""


def insert_timings(transaction: Transaction, rows: Sequence[TimingRow]) -> None:
    """Keep step times; one that is there already stays."""
    execute_many(
        transaction,
        "INSERT INTO exchange_timing (exchange_id, role, ended_at, peer, outcome, steps) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(r.exchange_id, r.role, r.ended_at, r.peer, r.outcome, r.steps) for r in rows],
    )


def prune_timings(transaction: Transaction, *, count: int, ended_before: int) -> None:
    """Forget what ended before ``ended_before``, and all but about the newest ``count``."""
    row = fetch_one(
        transaction,
        "SELECT ended_at FROM exchange_timing ORDER BY ended_at DESC LIMIT 1 OFFSET ?",
        (count,),
    )
    limit = max(ended_before, 0 if row is None else int(row[0]) + 1)
    execute(transaction, "DELETE FROM exchange_timing WHERE ended_at < ?", (limit,))


def read_timings(transaction: Transaction, exchange_id: bytes) -> list[TimingRow]:
    """Return what is kept of one exchange, the earliest first."""
    rows = fetch_all(
        transaction,
        "SELECT exchange_id, role, ended_at, peer, outcome, steps FROM exchange_timing "
        "WHERE exchange_id = ? ORDER BY ended_at",
        (exchange_id,),
    )
    return [TimingRow(bytes(row[0]), *row[1:]) for row in rows]
