"""Calls per second that several processes and hosts of one node count together, in their database.

A window of one second slides: what the second before used counts with the share of it that still lies
within one second. The clock is the database's, so that the hosts' own need not agree. Nothing of it has
to survive a crash, so no commit waits for the disk (``synchronous_commit`` off).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.storage.driver_sql import HeldConnection, execute, fetch_one
from gateway.storage.engine import open_engine
from gateway.storage.node_tables import Database, Transaction
from gateway.storage.quota_rows import delete_taken, read_taken

WINDOW_MS = 1_000


class SharedRates:
    """Takes calls off a rate that others take from as well. PostgreSQL only: SQLite has one process."""

    def __init__(self, database: Database) -> None:
        self._connection = HeldConnection(database)

    def take(self, name: str, limit: int, amount: int) -> float:
        """Take ``amount`` of the ``limit`` calls a second of ``name``; return 0, or else when to try again.

        The time is in seconds. Nothing is taken unless all of it fits.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._connection.writing() as transaction:
            execute(transaction, "SET LOCAL synchronous_commit = off")
            now_ms = _now_ms(transaction)
            start = now_ms - now_ms % WINDOW_MS
            (before,) = read_taken(transaction, name, [start - WINDOW_MS])
            weight_ms = WINDOW_MS - (now_ms - start)
            room = limit - before * weight_ms // WINDOW_MS
            if amount <= room and _take_up_to(transaction, name, start, amount, room):
                delete_taken(transaction, name, start - WINDOW_MS)
                return 0.0
            (taken,) = read_taken(transaction, name, [start])
        if taken + amount > limit or not before:  # this second is full: the next one has room
            return (start + WINDOW_MS - now_ms) / 1000 + amount / limit
        # What the second before used wears off: room grows by before/1000 calls a millisecond.
        missing = taken + amount - room
        return max(0.001, missing / before)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


def _take_up_to(transaction: Transaction, name: str, start: int, amount: int, room: int) -> bool:
    """Add ``amount`` to a window unless more than ``room`` would then be taken; in one statement."""
    changed = execute(
        transaction,
        "INSERT INTO rate_window (name, start, taken) VALUES (?, ?, ?) ON CONFLICT (name, start) "
        "DO UPDATE SET taken = rate_window.taken + excluded.taken "
        "WHERE rate_window.taken + excluded.taken <= ?",
        (name, start, amount, room),
    )
    return changed == 1


def _now_ms(transaction: Transaction) -> int:
    statement = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
    row = fetch_one(transaction, statement)
    assert row is not None
    return int(row[0])


@contextmanager
def shared_rates_of(url: str) -> Iterator[SharedRates | None]:
    """Yield what counts calls in the database of ``url``; ``None`` on SQLite, which one process serves.

    Raises:
        StorageError: the database cannot be used.
    """
    engine = open_engine(url)
    try:
        if engine.url.get_backend_name() == "sqlite":
            yield None
            return
        rates = SharedRates(engine)
        try:
            yield rates
        finally:
            rates.close()
    finally:
        engine.dispose()
