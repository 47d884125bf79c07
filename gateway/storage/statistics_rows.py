"""Rows of the audit log as reports count them: entries with their requests, and whom they were about."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.storage.driver_sql import fetch_all
from gateway.storage.node_tables import Transaction

PAGE_ROWS = 2_000


def stream_counted(
    transaction: Transaction, start: int, end: int
) -> Iterator[tuple[int, bytes, bytes | None, bytes | None, bool]]:
    """Yield (index, leaf, request message, request body, has openings) for start <= index < end, in order.

    Message and body are ``None`` where the entry has no evidence. Openings that were erased are gone.
    """
    statement = (
        "SELECT e.idx, e.leaf, s.request_message, s.request_body, "
        "EXISTS (SELECT 1 FROM evidence_key k WHERE k.idx = e.idx) "
        "FROM audit_entry e LEFT JOIN evidence_signed s ON s.idx = e.idx "
        "WHERE e.idx >= ? AND e.idx < ? ORDER BY e.idx LIMIT ?"
    )
    while rows := fetch_all(transaction, statement, (start, end, PAGE_ROWS)):
        for idx, leaf, message, body, has_openings in rows:
            yield (
                idx,
                bytes(leaf),
                None if message is None else bytes(message),
                None if body is None else bytes(body),
                bool(has_openings),
            )
        start = rows[-1][0] + 1


def stream_subjects(transaction: Transaction, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield (index, reference of a learner) for start <= index < end, in the order of the entries."""
    statement = (
        "SELECT idx, subject_ref FROM subject_index WHERE idx >= ? AND idx < ? ORDER BY idx, subject_ref"
    )
    while start < end:
        page_end = min(end, start + PAGE_ROWS)
        for idx, reference in fetch_all(transaction, statement, (start, page_end)):
            yield idx, bytes(reference)
        start = page_end
