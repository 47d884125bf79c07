"""Rows of issued credentials: what became of the record behind each, and where its status bits stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.storage.driver_sql import execute, execute_many, fetch_all, fetch_one
from gateway.storage.node_tables import Transaction

_COLUMNS = (
    "credential_id, content_tag, source_node, record_id, list_number, list_index, "
    "issued_at, state, changed_at"
)


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """One credential. ``state`` is a ``RecordState``; times are milliseconds since 1970-01-01T00:00:00Z."""

    credential_id: bytes
    content_tag: bytes
    """Keyed digest of the record as it was issued: the same record gets the same credential again."""
    source_node: str
    record_id: str
    list_number: int
    list_index: int
    issued_at: int
    state: int
    changed_at: int


def find_credential(transaction: Transaction, content_tag: bytes) -> CredentialRow | None:
    """Return the credential of exactly this content, if there is one."""
    row = fetch_one(
        transaction,
        f"SELECT {_COLUMNS} FROM issued_credential WHERE content_tag = ?",  # noqa: S608 - a constant
        (content_tag,),
    )
    return _row(row) if row else None


def insert_credential(transaction: Transaction, row: CredentialRow) -> bool:
    """Keep a credential; ``False`` when its place in the list, or its content, is taken."""
    values = (
        row.credential_id,
        row.content_tag,
        row.source_node,
        row.record_id,
        row.list_number,
        row.list_index,
        row.issued_at,
        row.state,
        row.changed_at,
    )
    statement = f"INSERT INTO issued_credential ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
    return execute(transaction, statement + "ON CONFLICT DO NOTHING", values) == 1


def count_credentials(transaction: Transaction) -> int:
    """Return how many credentials were issued."""
    row = fetch_one(transaction, "SELECT count(*) FROM issued_credential")
    return 0 if row is None else int(row[0])


def credentials_of(transaction: Transaction, source_node: str, record_id: str) -> list[CredentialRow]:
    """Return every credential of one record."""
    rows = fetch_all(
        transaction,
        f"SELECT {_COLUMNS} FROM issued_credential WHERE source_node = ? AND record_id = ?",  # noqa: S608
        (source_node, record_id),
    )
    return [_row(row) for row in rows]


def update_states(transaction: Transaction, changes: Sequence[tuple[bytes, int, int]]) -> None:
    """Set state and its time; each change is (credential id, state, time)."""
    execute_many(
        transaction,
        "UPDATE issued_credential SET state = ?, changed_at = ? WHERE credential_id = ?",
        [(state, at, credential_id) for credential_id, state, at in changes],
    )


def places_in_states(transaction: Transaction, list_number: int, states: Sequence[int]) -> list[int]:
    """Return the places in a list whose credentials are in one of two states."""
    first, last = states
    rows = fetch_all(
        transaction,
        "SELECT list_index FROM issued_credential WHERE list_number = ? AND (state = ? OR state = ?)",
        (list_number, first, last),
    )
    return [int(row[0]) for row in rows]


def _row(row: Sequence[object]) -> CredentialRow:
    members = [bytes(each) if isinstance(each, memoryview) else each for each in row]
    return CredentialRow(*members)  # type: ignore[arg-type]
