"""What this node answered earlier, read back from its own log: a retry gets the same."""

from __future__ import annotations

from dataclasses import dataclass

from creditexchange.v1.envelope_pb2 import Opening
from gateway.audit.entry import EntryDraft, parse_leaf
from gateway.audit.evidence import EvidenceVault
from gateway.audit.one_answer import is_answer
from gateway.errors import RefusedError
from gateway.storage import audit_rows, evidence_rows
from gateway.storage.node_tables import Transaction


@dataclass(frozen=True, slots=True)
class StoredExchange:
    """What an exchange was answered earlier; a retry gets the same body and openings."""

    index: int
    query_body: bytes
    answer_body: bytes
    openings: tuple[Opening, ...]
    record_count: int


def find_answer(
    connection: Transaction, vault: EvidenceVault, peer: str, exchange_id: bytes
) -> StoredExchange | None:
    """Return how this node answered ``peer``'s exchange; ``None`` if it never did.

    Raises:
        RefusedError: ``EXCHANGE_CONFLICT`` when the answer's openings were erased since.
        EvidenceError: the openings do not decrypt.
    """
    for row in audit_rows.read_entries_of_exchange(connection, exchange_id):
        draft = parse_leaf(row.leaf).draft
        if is_answer(draft) and draft.asker == peer:
            return _stored_exchange(connection, vault, row.idx, draft)
    return None


def has_answer(connection: Transaction, peer: str, exchange_id: bytes) -> bool:
    """Whether this node answered ``peer``'s exchange, or a chunk of it."""
    rows = audit_rows.read_entries_of_exchange(connection, exchange_id)
    drafts = [parse_leaf(row.leaf).draft for row in rows]
    return any(is_answer(draft) and draft.asker == peer for draft in drafts)


def _stored_exchange(
    connection: Transaction, vault: EvidenceVault, index: int, draft: EntryDraft
) -> StoredExchange:
    signed = evidence_rows.read_signed(connection, index)
    parts = evidence_rows.read_parts(connection, index)
    if signed is None or not parts:
        raise RefusedError("EXCHANGE_CONFLICT", "what this exchange was answered has been erased.")
    openings = vault.open(draft, parts[0])
    return StoredExchange(index, signed.request_body, signed.answer_body, openings.answer, draft.count)
