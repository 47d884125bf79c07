"""Rows of the evidence: signed bytes, encrypted openings, their keys, and whom they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.storage.driver_sql import Row, execute, execute_many, fetch_all, fetch_one
from gateway.storage.node_tables import Transaction


@dataclass(frozen=True, slots=True)
class SignedRow:
    """The signed bytes of one exchange."""

    request_message: bytes
    request_body: bytes
    answer_message: bytes
    answer_body: bytes

    @property
    def size_bytes(self) -> int:
        """How much this adds to a transaction."""
        return sum(map(len, (self.request_message, self.request_body, self.answer_message, self.answer_body)))


@dataclass(frozen=True, slots=True)
class SealedPart:
    """One encrypted part of an entry's openings, and its wrapped data key."""

    part: int
    nonce: bytes
    ciphertext: bytes
    wrapped_key: bytes
    wrapped_by: bytes
    expires_at: int


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part of an entry's openings, and the exchange that it belongs to."""

    idx: int
    part: int
    peer: str
    exchange_id: bytes
    expires_at: int


def insert_evidence(
    transaction: Transaction,
    signed: Sequence[tuple[int, SignedRow]],
    parts: Sequence[tuple[int, SealedPart]],
    subjects: Sequence[tuple[bytes, int, int, int]],
) -> None:
    """Insert the evidence of a group: by entry index, and (subject_ref, idx, part, expires_at)."""
    execute_many(
        transaction,
        "INSERT INTO evidence_signed (idx, request_message, request_body, answer_message, answer_body) "
        "VALUES (?, ?, ?, ?, ?)",
        [
            (idx, row.request_message, row.request_body, row.answer_message, row.answer_body)
            for idx, row in signed
        ],
    )
    execute_many(
        transaction,
        "INSERT INTO evidence (idx, part, nonce, ciphertext, expires_at) VALUES (?, ?, ?, ?, ?)",
        [(idx, part.part, part.nonce, part.ciphertext, part.expires_at) for idx, part in parts],
    )
    execute_many(
        transaction,
        "INSERT INTO evidence_key (idx, part, wrapped_key, wrapped_by, expires_at) VALUES (?, ?, ?, ?, ?)",
        [(idx, part.part, part.wrapped_key, part.wrapped_by, part.expires_at) for idx, part in parts],
    )
    execute_many(
        transaction,
        "INSERT INTO subject_index (subject_ref, idx, part, expires_at) VALUES (?, ?, ?, ?)",
        subjects,
    )


def read_signed(transaction: Transaction, idx: int) -> SignedRow | None:
    """Return the signed bytes of an entry."""
    row = fetch_one(
        transaction,
        "SELECT request_message, request_body, answer_message, answer_body FROM evidence_signed "
        "WHERE idx = ?",
        (idx,),
    )
    return None if row is None else SignedRow(*(bytes(value) for value in row))


def read_parts(transaction: Transaction, idx: int) -> list[SealedPart]:
    """Return those parts of an entry's openings that were not erased."""
    rows = fetch_all(
        transaction,
        "SELECT e.part, e.nonce, e.ciphertext, k.wrapped_key, k.wrapped_by, k.expires_at "
        "FROM evidence e JOIN evidence_key k ON k.idx = e.idx AND k.part = e.part "
        "WHERE e.idx = ? ORDER BY e.part",
        (idx,),
    )
    return [
        SealedPart(row[0], bytes(row[1]), bytes(row[2]), bytes(row[3]), bytes(row[4]), row[5]) for row in rows
    ]


def read_indexes_of_subject(transaction: Transaction, subject_ref: bytes) -> list[int]:
    """Return the entries that are about one learner, the oldest first."""
    rows = fetch_all(
        transaction,
        "SELECT DISTINCT idx FROM subject_index WHERE subject_ref = ? ORDER BY idx",
        (subject_ref,),
    )
    return [row[0] for row in rows]


def read_parts_wrapped_otherwise(
    transaction: Transaction, key_id: bytes, count: int
) -> list[tuple[int, bytes, SealedPart]]:
    """Return (index, leaf, part) of up to ``count`` parts that another evidence key wraps."""
    rows = fetch_all(
        transaction,
        "SELECT a.idx, a.leaf, e.part, e.nonce, e.ciphertext, k.wrapped_key, k.wrapped_by, k.expires_at "
        "FROM evidence_key k JOIN evidence e ON e.idx = k.idx AND e.part = k.part "
        "JOIN audit_entry a ON a.idx = k.idx WHERE k.wrapped_by <> ? ORDER BY k.idx, k.part LIMIT ?",
        (key_id, count),
    )
    return [
        (
            row[0],
            bytes(row[1]),
            SealedPart(row[2], bytes(row[3]), bytes(row[4]), bytes(row[5]), bytes(row[6]), row[7]),
        )
        for row in rows
    ]


def count_wrapped_otherwise(transaction: Transaction, key_id: bytes) -> int:
    """Return how many parts another evidence key wraps."""
    row = fetch_one(transaction, "SELECT count(*) FROM evidence_key WHERE wrapped_by <> ?", (key_id,))
    return 0 if row is None else int(row[0])


def put_rewrapped(
    transaction: Transaction,
    place: tuple[int, int],
    wrapped_key: bytes,
    key_id: bytes,
    subject_refs: Sequence[bytes],
) -> None:
    """Set the wrapped key of the part at ``place`` (index, part) and whom it is about."""
    execute(
        transaction,
        "UPDATE evidence_key SET wrapped_key = ?, wrapped_by = ? WHERE idx = ? AND part = ?",
        (wrapped_key, key_id, *place),
    )
    execute(transaction, "DELETE FROM subject_index WHERE idx = ? AND part = ?", place)
    execute_many(
        transaction,
        "INSERT INTO subject_index (subject_ref, idx, part, expires_at) "
        "SELECT ?, idx, part, expires_at FROM evidence_key WHERE idx = ? AND part = ?",
        [(ref, *place) for ref in subject_refs],
    )


def read_parts_of_subjects(transaction: Transaction, subject_refs: Sequence[bytes]) -> list[PartRow]:
    """Return every part of openings about learners, by any of their references."""
    marks = ", ".join("?" * len(subject_refs))
    statement = f"{_PART} WHERE s.subject_ref IN ({marks}) ORDER BY s.idx, s.part"
    return [_part(row) for row in fetch_all(transaction, statement, tuple(subject_refs))]


def read_expired_parts(transaction: Transaction, now_ms: int, count: int) -> list[PartRow]:
    """Return up to ``count`` parts of openings whose time is over."""
    rows = fetch_all(
        transaction,
        "SELECT k.idx, k.part, e.peer, e.exchange_id, k.expires_at FROM evidence_key k "
        "JOIN audit_entry e ON e.idx = k.idx WHERE k.expires_at < ? ORDER BY k.idx, k.part LIMIT ?",
        (now_ms, count),
    )
    return [_part(row) for row in rows]


def delete_parts(transaction: Transaction, parts: Sequence[PartRow]) -> None:
    """Erase parts of openings: keys, ciphertext, and the index of whom they are about."""
    keys = [(part.idx, part.part, part.expires_at) for part in parts]
    for statement in (
        "DELETE FROM evidence_key WHERE idx = ? AND part = ? AND expires_at = ?",
        "DELETE FROM evidence WHERE idx = ? AND part = ? AND expires_at = ?",
        "DELETE FROM subject_index WHERE idx = ? AND part = ? AND expires_at = ?",
    ):
        execute_many(transaction, statement, keys)


_PART = (
    "SELECT DISTINCT s.idx, s.part, e.peer, e.exchange_id, s.expires_at FROM subject_index s "
    "JOIN audit_entry e ON e.idx = s.idx"
)


def _part(row: Row) -> PartRow:
    return PartRow(row[0], row[1], str(row[2]), bytes(row[3]), row[4])
