"""What peers told of records that they gave this node: answered to local callers."""

from __future__ import annotations

from creditexchange.v1 import archive_pb2
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit import parse_leaf
from gateway.audit.commitment import RECORD, commitment
from gateway.audit.evidence import EvidenceVault
from gateway.clock import from_unix_ms
from gateway.exchange.asking.ask_peer import Asking
from gateway.storage import audit_rows, evidence_rows, notice_rows
from gateway.storage.node_tables import Transaction
from gateway.storage.notice_rows import HeardChangeRow

CHANGES_MAX = 1_000
"""Most changes of one response."""


def heard_changes_message(
    request: archive_pb2.ListHeardChangesRequest, node: Asking
) -> archive_pb2.ListHeardChangesResponse:
    """Return what was heard, each with the record it is about as far as its openings are still kept.

    Raises:
        StorageError: the database cannot be read.
        EvidenceError: openings do not decrypt.
    """
    response = archive_pb2.ListHeardChangesResponse()
    with node.log.reading() as connection:
        rows = notice_rows.read_heard_changes(connection, request.since_ms, request.node_id, CHANGES_MAX)
        for row in rows:
            change = response.changes.add(
                node_id=row.peer,
                exchange_id=row.exchange_id,
                state=row.state,
            )
            change.change_time.FromDatetime(from_unix_ms(row.changed_at))
            change.heard_time.FromDatetime(from_unix_ms(row.heard_at))
            record = _record_of(connection, node.log.vault, row)
            if record is not None:
                change.record_id, change.kind = record.record_id, record.kind
    return response


def _record_of(connection: Transaction, vault: EvidenceVault, row: HeardChangeRow) -> LearningRecord | None:
    """Return the record that the peer gave under the commitment."""
    for entry in audit_rows.read_entries_of_exchange(connection, row.exchange_id):
        draft = parse_leaf(entry.leaf).draft
        if draft.kind != "exchange" or draft.role != "asker" or draft.answerer != row.peer:
            continue
        for sealed in evidence_rows.read_parts(connection, entry.idx):
            for opening in vault.open(draft, sealed).answer:
                if opening.item_type == RECORD and commitment(opening) == row.commitment:
                    return LearningRecord.FromString(opening.item)
    return None
