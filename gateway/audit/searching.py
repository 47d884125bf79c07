"""Searches the audit log for people: by time, peer, purpose, outcome and exchange id, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audit.entry import EntryDraft
from gateway.audit.listing import ListedEntry, read_listed
from gateway.storage import audit_rows
from gateway.storage.audit_rows import EntryRow
from gateway.storage.node_tables import Transaction

ROWS_AT_ONCE = 500
LOOKED_AT_MAX = 20_000
"""Entries that one call looks at; a rare thing in a long log is found over several calls."""

NOT_OK = "not-ok"
"""As an outcome: every one but ``OK``."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; empty members match everything."""

    peer: str = ""
    purpose: str = ""
    outcome: str = ""
    """An outcome, or :data:`NOT_OK`."""
    side: str = ""
    """``asker``, ``answerer`` or ``management``."""
    exchange_id: bytes = b""
    """The beginning of one will do."""
    since_ms: int = 0
    until_ms: int = 0
    """Exclusive; 0 = no end."""

    def matches(self, draft: EntryDraft) -> bool:
        """Whether an entry has what is wanted, its time and exchange id aside."""
        if self.peer and draft.other_node != self.peer:
            return False
        if self.purpose and draft.purpose != self.purpose:
            return False
        if self.side and self.side != (draft.role or draft.kind):
            return False
        if self.outcome == NOT_OK:
            return draft.outcome not in ("", "OK")
        return not self.outcome or draft.outcome == self.outcome


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Entries that were found, the newest first."""

    entries: Sequence[ListedEntry]
    before: int
    """Where to go on: entries below this index were not looked at; 0 = there are none."""


def search_entries(
    transaction: Transaction, wanted: Wanted, *, before: int | None = None, count: int
) -> FoundPage:
    """Return up to ``count`` entries below index ``before``, or fewer after a long look.

    Raises:
        AuditLogError: an entry is not a leaf.
        StorageError: the database cannot be read.
    """
    if wanted.exchange_id:
        rows = audit_rows.read_entries_of_prefix(transaction, wanted.exchange_id, count)
        return FoundPage([entry for entry in map(read_listed, rows) if _is_in(entry, wanted)], 0)
    size = audit_rows.read_last_index(transaction) + 1
    end = size if before is None else min(before, size)
    if wanted.until_ms:
        end = min(end, audit_rows.read_index_since(transaction, wanted.until_ms, size))
    start = audit_rows.read_index_since(transaction, wanted.since_ms, size) if wanted.since_ms else 0
    found: list[ListedEntry] = []
    looked_at = 0
    while end > start and looked_at < LOOKED_AT_MAX:
        rows = _rows(transaction, wanted.peer, end, ROWS_AT_ONCE)
        for row in rows:
            if row.idx < start:
                return FoundPage(found, 0)
            listed, end = read_listed(row), row.idx
            looked_at += 1
            if wanted.matches(listed.entry.draft):
                found.append(listed)
                if len(found) == count:
                    return FoundPage(found, end if end > start else 0)
        if len(rows) < ROWS_AT_ONCE:
            return FoundPage(found, 0)
    return FoundPage(found, end if end > start else 0)


def _rows(transaction: Transaction, peer: str, end: int, count: int) -> list[EntryRow]:
    if peer:
        return audit_rows.read_entries_with_before(transaction, peer, end, count)
    return audit_rows.read_entries_before(transaction, end, count)


def _is_in(listed: ListedEntry, wanted: Wanted) -> bool:
    logged_at = listed.entry.logged_at_ms
    is_in_time = wanted.since_ms <= logged_at and (not wanted.until_ms or logged_at < wanted.until_ms)
    return is_in_time and wanted.matches(listed.entry.draft)
