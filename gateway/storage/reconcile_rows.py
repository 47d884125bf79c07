"""Rows of reconciliation: how far each peer's log was compared with this one, and what differed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.storage.driver_sql import execute, execute_many, fetch_all, fetch_one
from gateway.storage.node_tables import Transaction


@dataclass(frozen=True, slots=True)
class ReconciliationRow:
    """How far two logs were compared."""

    peer: str
    origin: str
    their_next: int
    """First index of the peer's log that was not compared yet."""
    our_next: int
    """First own index of which it is open whether the peer has it."""
    checkpoint: str
    """The peer's checkpoint that was seen last; empty for none."""
    matched: int
    sequence_max: int
    """Largest number of the pair's sequence in the peer's entries as asker."""
    sequence_count: int
    """How many of its numbers were seen; -1 when the comparison did not begin at the start."""
    done_at: int
    """When both ends were reached last, milliseconds; 0 for never."""


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One difference. An index of -1 stands for an entry that is not there."""

    peer: str
    kind: str
    exchange_id: bytes
    our_idx: int
    their_idx: int
    detail: str
    found_at: int


_STATE = "peer, origin, their_next, our_next, checkpoint, matched, sequence_max, sequence_count, done_at"


def read_reconciliation(transaction: Transaction, peer: str) -> ReconciliationRow | None:
    """Return how far the logs were compared; ``None`` when they never were."""
    statement = f"SELECT {_STATE} FROM reconciliation WHERE peer = ?"  # noqa: S608 - fixed columns
    row = fetch_one(transaction, statement, (peer,))
    return None if row is None else ReconciliationRow(*row)


def put_reconciliation(transaction: Transaction, row: ReconciliationRow) -> None:
    """Set how far the logs were compared."""
    execute(transaction, "DELETE FROM reconciliation WHERE peer = ?", (row.peer,))
    marks = "?, ?, ?, ?, ?, ?, ?, ?, ?"
    execute(
        transaction,
        f"INSERT INTO reconciliation ({_STATE}) VALUES ({marks})",  # noqa: S608 - fixed columns
        (
            row.peer,
            row.origin,
            row.their_next,
            row.our_next,
            row.checkpoint,
            row.matched,
            row.sequence_max,
            row.sequence_count,
            row.done_at,
        ),
    )


def insert_matches(transaction: Transaction, peer: str, indexes: Sequence[int]) -> None:
    """Note own entries whose counterpart was found."""
    execute_many(
        transaction,
        "INSERT INTO reconciled_entry (peer, idx) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(peer, index) for index in indexes],
    )


def read_matches(transaction: Transaction, peer: str, start: int, end: int) -> set[int]:
    """Return the own entries with start <= index <= end whose counterpart was found."""
    rows = fetch_all(
        transaction,
        "SELECT idx FROM reconciled_entry WHERE peer = ? AND idx >= ? AND idx <= ?",
        (peer, start, end),
    )
    return {row[0] for row in rows}


def delete_matches(transaction: Transaction, peer: str, below: int) -> None:
    """Forget matches that have been judged."""
    execute(transaction, "DELETE FROM reconciled_entry WHERE peer = ? AND idx < ?", (peer, below))


def put_findings(transaction: Transaction, rows: Sequence[FindingRow]) -> None:
    """Keep findings; one that is there already stays."""
    execute_many(
        transaction,
        "INSERT INTO reconcile_finding (peer, kind, exchange_id, our_idx, their_idx, detail, found_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (peer, kind, our_idx, their_idx) "
        "DO UPDATE SET detail = excluded.detail",
        [(r.peer, r.kind, r.exchange_id, r.our_idx, r.their_idx, r.detail, r.found_at) for r in rows],
    )


def delete_findings(transaction: Transaction, peer: str, our_start: int, their_start: int) -> None:
    """Forget the findings about entries that will be compared again."""
    execute(
        transaction,
        "DELETE FROM reconcile_finding WHERE peer = ? AND (our_idx >= ? OR their_idx >= ? "
        "OR (our_idx = -1 AND their_idx = -1))",
        (peer, our_start, their_start),
    )


def list_findings(transaction: Transaction, peer: str, count: int) -> list[FindingRow]:
    """Return up to ``count`` findings, in the order of the logs."""
    rows = fetch_all(
        transaction,
        "SELECT peer, kind, exchange_id, our_idx, their_idx, detail, found_at FROM reconcile_finding "
        "WHERE peer = ? ORDER BY our_idx, their_idx, kind LIMIT ?",
        (peer, count),
    )
    return [FindingRow(row[0], row[1], bytes(row[2]), *row[3:]) for row in rows]


def count_findings(transaction: Transaction, peer: str) -> int:
    """Return how many findings there are."""
    row = fetch_one(transaction, "SELECT count(*) FROM reconcile_finding WHERE peer = ?", (peer,))
    return 0 if row is None else int(row[0])
