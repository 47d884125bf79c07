"""Rows of witnessing: heads of other logs that this node cosigned, cosignatures of its own, conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from gateway.storage.driver_sql import execute, fetch_all, fetch_one, is_sqlite
from gateway.storage.node_tables import Transaction

HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class WitnessedRow:
    """The largest consistent head of one log that this node has cosigned."""

    origin: str
    size: int
    root: bytes
    note: str
    line: str
    seen_at: int

    @property
    def origin_digest(self) -> str:
        """SHA-256 of the origin, hexadecimal: how the witness's HTTP page names the log."""
        return sha256(self.origin.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class CosignatureRow:
    """One witness's line under one checkpoint of this node's log."""

    witness: str
    size: int
    time_s: int
    line: str


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """Two signed heads of one log that contradict one another."""

    digest: bytes
    origin: str
    note: str
    other_note: str
    proof: bytes
    what: str
    source: str
    found_at: int


_WITNESSED = "SELECT origin, size, root, note, line, seen_at FROM witnessed_log"


def read_witnessed(transaction: Transaction, origin: str, *, for_update: bool = False) -> WitnessedRow | None:
    """Return what was cosigned last of log ``origin``."""
    lock = " FOR UPDATE" if for_update and not is_sqlite(transaction) else ""
    row = fetch_one(transaction, f"{_WITNESSED} WHERE origin = ?{lock}", (origin,))
    return None if row is None else WitnessedRow(row[0], row[1], bytes(row[2]), *row[3:])


def list_witnessed(transaction: Transaction) -> list[WitnessedRow]:
    """Return what was cosigned last of every log."""
    rows = fetch_all(transaction, f"{_WITNESSED} ORDER BY origin")
    return [WitnessedRow(row[0], row[1], bytes(row[2]), *row[3:]) for row in rows]


def put_witnessed(transaction: Transaction, row: WitnessedRow) -> None:
    """Set what was cosigned last."""
    execute(
        transaction,
        "INSERT INTO witnessed_log (origin, size, root, note, line, seen_at) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, "
        "note = excluded.note, line = excluded.line, seen_at = excluded.seen_at",
        (row.origin, row.size, row.root, row.note, row.line, row.seen_at),
    )


def put_cosignature(transaction: Transaction, row: CosignatureRow) -> None:
    """Keep a cosignature; of earlier ones by the witness the last of each hour stays."""
    execute(
        transaction,
        "DELETE FROM audit_cosignature WHERE witness = ? AND time_s >= ? AND time_s <= ?",
        (row.witness, row.time_s - row.time_s % HOUR_S, row.time_s),
    )
    execute(
        transaction,
        "INSERT INTO audit_cosignature (witness, size, time_s, line) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (witness, size) DO UPDATE SET time_s = excluded.time_s, line = excluded.line",
        (row.witness, row.size, row.time_s, row.line),
    )


_COSIGNATURE = "SELECT witness, size, time_s, line FROM audit_cosignature"


def read_newest_cosignatures(transaction: Transaction) -> list[CosignatureRow]:
    """Return the newest cosignature of each witness."""
    rows = fetch_all(
        transaction,
        "SELECT witness, size, time_s, line FROM audit_cosignature c WHERE size = (SELECT max(size) "
        "FROM audit_cosignature m WHERE m.witness = c.witness) ORDER BY witness",
    )
    return [CosignatureRow(*row) for row in rows]


def read_cosignatures(transaction: Transaction, size: int) -> list[CosignatureRow]:
    """Return the cosignatures under the checkpoint of ``size``."""
    rows = fetch_all(transaction, f"{_COSIGNATURE} WHERE size = ? ORDER BY witness", (size,))
    return [CosignatureRow(*row) for row in rows]


def read_best_cosigned_size(transaction: Transaction, size_min: int) -> int | None:
    """Return the checkpoint size of at least ``size_min`` that most witnesses have cosigned, the newest
    of several.
    """
    row = fetch_one(
        transaction,
        "SELECT size FROM audit_cosignature WHERE size >= ? GROUP BY size "
        "ORDER BY count(*) DESC, size DESC LIMIT 1",
        (size_min,),
    )
    return None if row is None else int(row[0])


def insert_conflict(transaction: Transaction, row: ConflictRow) -> bool:
    """Keep a conflict for good; return whether it is new."""
    statement = (
        "INSERT INTO peer_conflict (digest, origin, note, other_note, proof, what, source, found_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    )
    values = (row.digest, row.origin, row.note, row.other_note, row.proof, row.what, row.source, row.found_at)
    return execute(transaction, statement, values) == 1


def list_conflicts(transaction: Transaction) -> Sequence[ConflictRow]:
    """Return every conflict, the earliest first."""
    rows = fetch_all(
        transaction,
        "SELECT digest, origin, note, other_note, proof, what, source, found_at FROM peer_conflict "
        "ORDER BY found_at, digest",
    )
    return [ConflictRow(bytes(r[0]), r[1], r[2], r[3], bytes(r[4]), r[5], r[6], r[7]) for r in rows]


def put_card(transaction: Transaction, fingerprint: bytes, node_id: str, serial: int, card: str) -> None:
    """Keep a card for good; one that is there already stays."""
    execute(
        transaction,
        "INSERT INTO known_card (fingerprint, node_id, serial, card) VALUES (?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (fingerprint, node_id, serial, card),
    )


def read_cards(transaction: Transaction, node_id: str) -> list[str]:
    """Return every card of a node that was ever accepted, DSSE JSON, the newest first."""
    rows = fetch_all(
        transaction, "SELECT card FROM known_card WHERE node_id = ? ORDER BY serial DESC", (node_id,)
    )
    return [str(row[0]) for row in rows]
