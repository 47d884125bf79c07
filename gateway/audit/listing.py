"""Reads entries of the log for people: the newest, those with one peer, those of one exchange."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audit.entry import Entry, EntryError, parse_leaf
from gateway.errors import AuditLogError
from gateway.storage import audit_rows
from gateway.storage.audit_rows import EntryRow
from gateway.storage.engine import reading
from gateway.storage.node_tables import Database

PAGE_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """An entry with its place in the log; ``leaf`` is what was hashed."""

    index: int
    leaf: bytes
    entry: Entry


def list_entries(
    engine: Database, *, last: int, peer: str = "", exchange_id: bytes = b""
) -> list[ListedEntry]:
    """Return up to ``last`` entries, the oldest of them first, filtered if a filter is given.

    ``exchange_id`` may be the beginning of one.

    Raises:
        AuditLogError: an entry is not a leaf; ``audit verify`` says more.
        StorageError: the database cannot be read.
    """
    found: list[ListedEntry] = []
    with reading(engine) as connection:
        before = audit_rows.read_last_index(connection) + 1
        while len(found) < last:
            if exchange_id:
                rows = audit_rows.read_entries_of_prefix(connection, exchange_id, PAGE_ENTRIES)
            else:
                rows = audit_rows.read_entries_before(connection, before, PAGE_ENTRIES if peer else last)
            found += [entry for row in rows if _is_with(entry := read_listed(row), peer)]
            if exchange_id or not rows:
                break
            before = rows[-1].idx
    return found[:last][::-1]


def read_listed(row: EntryRow) -> ListedEntry:
    """Return a row as an entry. Raises ``AuditLogError`` when it is not a leaf."""
    try:
        return ListedEntry(row.idx, row.leaf, parse_leaf(row.leaf))
    except EntryError as error:
        raise AuditLogError(
            f"entry {row.idx} of the audit log cannot be read: {error.message}",
            remedy="Run `credit-gateway audit verify`.",
        ) from error


def _is_with(listed: ListedEntry, peer: str) -> bool:
    draft = listed.entry.draft
    return not peer or peer in (draft.asker, draft.answerer, draft.peer)
