"""The job of a long query in bulk: a small SQLite database beside its results, for going on after a stop.

It holds line numbers and what came, never an identifier. What came is personal data: the file is the
asker's own, and it is emptied when the results are written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from gateway.errors import StorageError
from gateway.storage.driver_sql import Row, execute, execute_many, fetch_all, fetch_one
from gateway.storage.engine import open_engine, writing
from gateway.storage.node_tables import Database, Transaction

PENDING, ANSWERED, FAILED = 0, 1, 2
"""States of a line and peer: to be asked, answered for good, to be asked again by the next run."""


class JobRow(NamedTuple):
    """What came from one peer about the applicant of one line."""

    line: int
    peer: str
    state: int
    outcome: str
    explanation: str
    record_count: int
    exchange_id: bytes
    content: bytes
    """The records as compressed JSON; empty when there are none."""


_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    (
        "CREATE TABLE IF NOT EXISTS result (line INTEGER NOT NULL, peer TEXT NOT NULL, "
        "state INTEGER NOT NULL, outcome TEXT NOT NULL, explanation TEXT NOT NULL, "
        "record_count INTEGER NOT NULL, exchange_id BLOB NOT NULL, content BLOB NOT NULL, "
        "PRIMARY KEY (line, peer)) WITHOUT ROWID"
    ),
)
_COLUMNS = "line, peer, state, outcome, explanation, record_count, exchange_id, content"


def open_job(path: Path) -> Database:
    """Open or make the job's database, readable by its owner only. Raises ``StorageError``."""
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
    database = open_engine(f"sqlite:///{path}")
    with writing(database) as transaction:
        for statement in _SCHEMA:
            execute(transaction, statement)
    return database


def get_fact(transaction: Transaction, name: str) -> str | None:
    """Return what is noted under ``name``."""
    row = fetch_one(transaction, "SELECT value FROM fact WHERE name = ?", (name,))
    return None if row is None else str(row[0])


def put_fact(transaction: Transaction, name: str, value: str) -> None:
    """Note ``value`` under ``name``."""
    execute(transaction, "INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)", (name, value))


def put_rows(transaction: Transaction, rows: Sequence[JobRow]) -> None:
    """Write what came; a line and peer that was answered already keeps its first answer."""
    execute_many(
        transaction,
        f"INSERT INTO result ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608 - a constant
        "ON CONFLICT (line, peer) DO UPDATE SET state = excluded.state, outcome = excluded.outcome, "
        "explanation = excluded.explanation, record_count = excluded.record_count, "
        f"exchange_id = excluded.exchange_id, content = excluded.content WHERE state <> {ANSWERED}",
        rows,
    )


def expect_lines(transaction: Transaction, lines: Sequence[int], peers: Sequence[str]) -> None:
    """Note that every one of ``lines`` is to be asked about at every one of ``peers``."""
    execute_many(
        transaction,
        f"INSERT OR IGNORE INTO result ({_COLUMNS}) VALUES (?, ?, 0, '', '', 0, x'', x'')",  # noqa: S608
        [(line, peer) for line in lines for peer in peers],
    )


def ask_failed_again(transaction: Transaction) -> None:
    """Make every line pending that got no answer in an earlier run."""
    execute(transaction, "UPDATE result SET state = ? WHERE state = ?", (PENDING, FAILED))


def fail_pending(transaction: Transaction, peer: str, outcome: str, explanation: str) -> None:
    """Give every pending line of ``peer`` a reason."""
    execute(
        transaction,
        "UPDATE result SET state = ?, outcome = ?, explanation = ? WHERE peer = ? AND state = ?",
        (FAILED, outcome, explanation, peer, PENDING),
    )


def pending_lines(transaction: Transaction, peer: str, after: int, count: int) -> list[int]:
    """Return up to ``count`` lines after ``after`` about which ``peer`` is still to be asked."""
    rows = fetch_all(
        transaction,
        "SELECT line FROM result WHERE peer = ? AND state = ? AND line > ? ORDER BY line LIMIT ?",
        (peer, PENDING, after, count),
    )
    return [row[0] for row in rows]


def count_by_outcome(transaction: Transaction) -> list[Row]:
    """Return (peer, state, outcome, lines, records)."""
    return fetch_all(
        transaction,
        "SELECT peer, state, outcome, count(*), sum(record_count) FROM result "
        "GROUP BY peer, state, outcome ORDER BY peer, state, outcome",
    )


def page_of_rows(transaction: Transaction, after: tuple[int, str], count: int) -> list[JobRow]:
    """Return up to ``count`` rows after (line, peer), by line and peer."""
    rows = fetch_all(
        transaction,
        f"SELECT {_COLUMNS} FROM result WHERE (line, peer) > (?, ?) "  # noqa: S608 - a constant
        "ORDER BY line, peer LIMIT ?",
        (*after, count),
    )
    return [JobRow(*row) for row in rows]


def empty_contents(transaction: Transaction) -> None:
    """Remove what came, after it was written to the results: only numbers and reasons are kept."""
    execute(transaction, "UPDATE result SET content = x''")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a second run off the same job.

    Raises:
        StorageError: another run works on it.
    """
    with closing(sqlite3.connect(path.with_name(path.name + ".lock"), timeout=0)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"{path.parent}: another run works on this job.", remedy="Wait until it has ended."
            ) from error
        yield
