"""The queries of the registry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gateway.storage.driver_sql import Row, execute, execute_many, fetch_all, fetch_one
from gateway.storage.node_tables import Transaction

PAGE_ROWS = 500
LOOKUP_IDS = 500
"""Ids a query asks for at once: SQLite allows a limited number of placeholders."""


class NewRecord(NamedTuple):
    """One row to write, in the order of the columns."""

    record_id: str
    subject_token: bytes
    epoch: str
    kind: int
    translated: bytes
    scheme_digest: bytes
    original: bytes
    content_digest: bytes
    import_id: int
    line: int


class KnownRecord(NamedTuple):
    """What is held under a record id."""

    content_digest: bytes
    import_id: int
    line: int


def find_records(connection: Transaction, token: bytes, kind_bits: int) -> list[Row]:
    """Return (record_id, kind, translated, scheme_digest, original) of one learner, by record id.

    ``kind_bits`` has the bit of each wanted kind set.
    """
    return fetch_all(
        connection,
        "SELECT record_id, kind, translated, scheme_digest, original FROM learner_record"
        " WHERE subject_token = ? AND ((1 << kind) & ?) <> 0 ORDER BY record_id",
        (token, kind_bits),
    )


def find_known(transaction: Transaction, record_ids: Sequence[str]) -> dict[str, KnownRecord]:
    """Return what is held under each of ``record_ids`` (at most LOOKUP_IDS)."""
    marks = ", ".join("?" * len(record_ids))
    rows = fetch_all(
        transaction,
        "SELECT record_id, content_digest, import_id, line FROM learner_record"  # noqa: S608 - marks only
        f" WHERE record_id IN ({marks})",
        tuple(record_ids),
    )
    return {row[0]: KnownRecord(bytes(row[1]), row[2], row[3]) for row in rows}


def insert_records(transaction: Transaction, rows: Sequence[NewRecord]) -> None:
    """Write new records."""
    execute_many(
        transaction,
        "INSERT INTO learner_record (record_id, subject_token, epoch, kind, translated, scheme_digest,"
        " original, content_digest, import_id, line) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def replace_records(transaction: Transaction, rows: Sequence[NewRecord]) -> None:
    """Overwrite the records that have the same record id."""
    execute_many(
        transaction,
        "UPDATE learner_record SET subject_token = ?, epoch = ?, kind = ?, translated = ?,"
        " scheme_digest = ?, original = ?, content_digest = ?, import_id = ?, line = ? WHERE record_id = ?",
        [(*row[1:], row[0]) for row in rows],
    )


def next_import_id(transaction: Transaction) -> int:
    """Return an id for a new import."""
    row = fetch_one(transaction, "SELECT COALESCE(MAX(id), 0) + 1 FROM record_import")
    assert row is not None
    return int(row[0])


def insert_import(transaction: Transaction, import_id: int, file_name: str, at_ms: int, rows: int) -> None:
    """Note a finished import."""
    execute(
        transaction,
        "INSERT INTO record_import (id, file_name, finished_at, row_count) VALUES (?, ?, ?, ?)",
        (import_id, file_name, at_ms, rows),
    )


def lock_imports(transaction: Transaction) -> None:
    """Let only one import write at a time."""
    if transaction.dialect.name == "postgresql":
        execute(transaction, "LOCK TABLE record_import IN SHARE ROW EXCLUSIVE MODE")


def count_records(connection: Transaction) -> int:
    """Return the number of records."""
    row = fetch_one(connection, "SELECT COUNT(*) FROM learner_record")
    assert row is not None
    return int(row[0])


def count_by_kind(connection: Transaction) -> list[Row]:
    """Return (kind, number of records, number of learners), by kind."""
    return fetch_all(
        connection,
        "SELECT kind, COUNT(*), COUNT(DISTINCT subject_token) FROM learner_record"
        " GROUP BY kind ORDER BY kind",
    )


def stream_records(connection: Transaction) -> Iterator[Row]:
    """Yield (id, record_id, kind, translated, original) of every record, in constant memory."""
    last = 0
    columns = "id, record_id, kind, translated, original"
    statement = f"SELECT {columns} FROM learner_record WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
    while rows := fetch_all(connection, statement, (last, PAGE_ROWS)):
        yield from rows
        last = rows[-1][0]
