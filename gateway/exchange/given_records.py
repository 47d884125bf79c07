"""Who was given a record: found in the openings that this node keeps of its answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from creditexchange.v1.exchange_pb2 import CertificateAnswerBody, CertificateReference
from creditexchange.v1.record_pb2 import RECORD_STATE_EXPIRED, RECORD_STATE_VALID, LearningRecord
from gateway.audit import parse_leaf
from gateway.audit.commitment import CERTIFICATE, RECORD, commitment
from gateway.audit.evidence import EvidenceVault, Openings
from gateway.exchange.answering.certificate import is_meant
from gateway.exchange.messages import VERIFY_CERTIFICATE
from gateway.storage import audit_rows, evidence_rows
from gateway.storage.evidence_rows import PartRow
from gateway.storage.node_tables import Transaction


class Given(NamedTuple):
    """Something that was given in one exchange: what it was is known to who holds the openings."""

    exchange_id: bytes
    commitment: bytes


def given_before(
    connection: Transaction, vault: EvidenceVault, subject_token: bytes, now: bytes
) -> Mapping[str, Sequence[Given]]:
    """Return, by peer, where a record was given otherwise than it is ``now`` (a serialised record).

    Records by their content, certificates by the state that was answered. What was erased is not found.

    Raises:
        EvidenceError: openings do not decrypt.
        StorageError: the database cannot be read.
    """
    record = LearningRecord.FromString(now)
    parts = evidence_rows.read_parts_of_subjects(connection, vault.subject_refs(subject_token))
    found: dict[str, list[Given]] = defaultdict(list)
    for part in parts:
        found[part.peer] += [
            Given(part.exchange_id, each) for each in _given_in(connection, vault, part, record, now)
        ]
    return {peer: given for peer, given in found.items() if given}


def _given_in(
    connection: Transaction, vault: EvidenceVault, part: PartRow, record: LearningRecord, now: bytes
) -> Sequence[bytes]:
    """Return the commitments under which one exchange gave the record otherwise than it is now."""
    row = audit_rows.read_entry(connection, part.idx)
    draft = parse_leaf(row.leaf).draft if row is not None else None
    if draft is None or draft.kind != "exchange" or draft.role != "answerer" or draft.outcome != "OK":
        return []
    sealed = next(
        (each for each in evidence_rows.read_parts(connection, part.idx) if each.part == part.part), None
    )
    signed = evidence_rows.read_signed(connection, part.idx)
    if sealed is None or signed is None:
        return []
    openings = vault.open(draft, sealed)
    if draft.method == VERIFY_CERTIFICATE:
        return _status_given(openings, CertificateAnswerBody.FromString(signed.answer_body), record)
    return [
        commitment(opening)
        for opening in openings.answer
        if opening.item_type == RECORD
        and opening.item != now
        and LearningRecord.FromString(opening.item).record_id == record.record_id
    ]


def _status_given(
    openings: Openings, answered: CertificateAnswerBody, record: LearningRecord
) -> Sequence[bytes]:
    """Return the commitment to the certificate that was asked about, if its state is another one now."""
    same = answered.state == record.status.state
    still = answered.state == RECORD_STATE_EXPIRED and record.status.state == RECORD_STATE_VALID
    if not answered.is_known or same or still:
        return []
    return [
        commitment(opening)
        for opening in openings.request
        if opening.item_type == CERTIFICATE
        and is_meant(record, CertificateReference.FromString(opening.item))
    ]
