"""Rows that count: learners by day and peer, and what was taken of a rate in a window of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.storage.driver_sql import execute, execute_many, fetch_all, fetch_one
from gateway.storage.node_tables import Transaction


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many learners a day a peer may be answered about, for some purposes together."""

    purposes: frozenset[str]
    """Words of the purposes; empty = all of them."""
    learners_per_day: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What one answer, or one chunk of it, takes off a peer's quotas."""

    day: str
    peer: str
    purpose: str
    learners: int
    allowances: tuple[Allowance, ...]
    """All that the peer has; at least one counts this purpose."""
    resets: datetime
    """When the next day begins."""


def read_use(transaction: Transaction, day: str, peer: str) -> dict[str, int]:
    """Return about how many learners ``peer`` was answered on ``day``, by purpose."""
    rows = fetch_all(
        transaction, "SELECT purpose, learners FROM quota_use WHERE day = ? AND peer = ?", (day, peer)
    )
    return {row[0]: int(row[1]) for row in rows}


def add_use(transaction: Transaction, added: Mapping[tuple[str, str, str], int]) -> None:
    """Add learners to the counts, by (day, peer, purpose)."""
    execute_many(
        transaction,
        "INSERT INTO quota_use (day, peer, purpose, learners) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (day, peer, purpose) DO UPDATE SET learners = quota_use.learners + excluded.learners",
        [(*place, learners) for place, learners in sorted(added.items())],
    )


def delete_use(transaction: Transaction, before_day: str) -> None:
    """Forget the counts of days before ``before_day`` (ISO 8601)."""
    execute(transaction, "DELETE FROM quota_use WHERE day < ?", (before_day,))


def take(transaction: Transaction, name: str, start: int, amount: int) -> int:
    """Add ``amount`` to what was taken of ``name`` in the window that began at ``start``; return the sum."""
    row = fetch_one(
        transaction,
        "INSERT INTO rate_window (name, start, taken) VALUES (?, ?, ?) "
        "ON CONFLICT (name, start) DO UPDATE SET taken = rate_window.taken + excluded.taken RETURNING taken",
        (name, start, amount),
    )
    assert row is not None
    return int(row[0])


def read_taken(transaction: Transaction, name: str, starts: Sequence[int]) -> list[int]:
    """Return what was taken of ``name`` in each of the windows that began at ``starts``."""
    found = {
        int(row[0]): int(row[1])
        for row in fetch_all(transaction, "SELECT start, taken FROM rate_window WHERE name = ?", (name,))
    }
    return [found.get(start, 0) for start in starts]


def delete_taken(transaction: Transaction, name: str, before: int) -> None:
    """Forget the windows of ``name`` that began before ``before``."""
    execute(transaction, "DELETE FROM rate_window WHERE name = ? AND start < ?", (name, before))
