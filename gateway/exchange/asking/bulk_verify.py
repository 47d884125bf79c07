"""Believe a stream of chunks only chunk by chunk, each in its place.

Each chunk is signed, bound to the request, numbered, and names the digest of the one before; each proves
that it was logged. So a chunk that was altered, dropped, repeated, moved, or taken from another answer is
noticed when it arrives, and a stream that ends early by the missing mark of its last chunk.

Pure: bytes, keys and *now* come in, a value or an error goes out.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from creditexchange.v1.envelope_pb2 import Opening, Receipt, SignedMessage
from creditexchange.v1.exchange_pb2 import (
    QueryRecordsInBulkResponse,
    RecordAnswerChunkBody,
    SubjectAnswer,
)
from creditexchange.v1.reason_pb2 import Reason
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit import PeerCheckpoint
from gateway.audit.commitment import RECORD, commitment
from gateway.errors import EnvelopeError, PeerFaultError
from gateway.exchange.asking.compose import Composed
from gateway.exchange.asking.question import OK
from gateway.exchange.asking.verify import fault_of_envelope, open_body, require_receipt
from gateway.exchange.messages import Snapshot
from gateway.signing.envelope import parse

SUBJECT_REASONS = {
    Reason.REASON_UNSPECIFIED: OK,
    Reason.REASON_CONSENT_REQUIRED: "CONSENT_REQUIRED",
    Reason.REASON_CONSENT_INVALID: "CONSENT_INVALID",
    Reason.REASON_ANSWER_TOO_LARGE: "ANSWER_TOO_LARGE",
}
"""What a chunk may say of a learner, and what it is called here."""


@dataclass(frozen=True, slots=True)
class SubjectPart:
    """What one chunk says of one learner of the query."""

    position: int
    outcome: str
    openings: tuple[Opening, ...] = field(repr=False)
    records: tuple[LearningRecord, ...] = field(repr=False)
    continues: bool


@dataclass(frozen=True, slots=True)
class VerifiedChunk:
    """One chunk of which everything was checked."""

    number: int
    message: SignedMessage
    body: bytes
    subjects: tuple[SubjectPart, ...]
    signed_by: str
    receipt: Receipt
    peer_checkpoint: PeerCheckpoint

    @property
    def record_count(self) -> int:
        """How many records are in it: what the entry states."""
        return sum(len(part.records) for part in self.subjects)


class ChunkVerifier:
    """Takes the chunks that answer ``composed``, in their order."""

    def __init__(self, composed: Composed, snapshot: Snapshot) -> None:
        self._composed = composed
        self._snapshot = snapshot
        self._previous_digest = b""
        self.position = 0
        """Place of the first subject that is not answered in full."""
        self._continues = False
        self.next_number = 1
        """Number of the chunk that comes next."""
        self.is_complete = False
        """Whether the last chunk has come."""

    def accept(self, response: bytes, now: datetime) -> VerifiedChunk:
        """Return the chunk in ``response``, which must be the next one.

        Raises:
            PeerFaultError: ``ANSWER_MALFORMED``, ``ANSWER_NOT_SIGNED``, ``ANSWER_NOT_BOUND``,
                ``ANSWER_STALE``, ``ANSWER_INCOMPLETE`` or ``RECEIPT_INVALID``.
        """
        composed = self._composed
        came = open_body(composed, response, self._snapshot, now)
        answer, body = came.answer, came.body
        assert isinstance(came.envelope, QueryRecordsInBulkResponse)
        assert isinstance(body, RecordAnswerChunkBody)
        openings = list(came.envelope.openings)
        self._require_place(body)
        subjects = _subjects_of(body, openings, composed)
        position = self._position_after(body)
        checkpoint = require_receipt(
            composed, answer.receipt, OK, len(openings), answer.body, now, body.number
        )
        self._previous_digest = sha256(answer.body).digest()
        self.position, self._continues = position, body.subjects[-1].continues
        self.next_number, self.is_complete = body.number + 1, body.is_last
        return VerifiedChunk(
            number=body.number,
            message=came.envelope.message,
            body=answer.body,
            subjects=subjects,
            signed_by=came.signed_by,
            receipt=answer.receipt,
            peer_checkpoint=checkpoint,
        )

    def require_complete(self) -> None:
        """Return if the stream did not end early. Raises ``PeerFaultError``: ``ANSWER_INCOMPLETE``."""
        if not self.is_complete:
            raise _incomplete("the stream ended before its last chunk.")

    def _require_place(self, body: RecordAnswerChunkBody) -> None:
        if self.is_complete:
            raise _incomplete("a chunk came after the last one.")
        if body.number != self.next_number:
            raise _incomplete(f"chunk {body.number} came in the place of chunk {self.next_number}.")
        if not hmac.compare_digest(body.previous_digest, self._previous_digest):
            raise _incomplete("the chunk continues another answer.")

    def _position_after(self, body: RecordAnswerChunkBody) -> int:
        """Return the place of the subject after this chunk's, which must follow those before."""
        first, last = self.position, len(body.subjects) - 1
        for at, subject in enumerate(body.subjects):
            if subject.position != first + at:
                raise _incomplete("the subjects are not in the order of the query.")
            if subject.continues and (at != last or body.is_last or not subject.record_count):
                raise _incomplete("a subject goes on in the middle of a chunk.")
            if subject.reason and (subject.record_count or subject.continues):
                raise _incomplete("there are records of a subject that was not answered.")
        start = body.subjects[0] if body.subjects else SubjectAnswer()
        if not body.subjects or (self._continues and not start.record_count):
            raise _incomplete("the chunk is empty.")
        position = first + len(body.subjects) - int(body.subjects[-1].continues)
        total = len(self._composed.subject_tokens)
        if position > total or body.is_last != (position == total):
            raise _incomplete("the last chunk does not end with the last subject.")
        return position


def _subjects_of(
    body: RecordAnswerChunkBody, openings: list[Opening], composed: Composed
) -> tuple[SubjectPart, ...]:
    """Return what is said of each subject, after every record led to its commitment."""
    if sum(s.record_count for s in body.subjects) != len(openings):
        raise _incomplete("the number of records is not the one that was signed.")
    try:
        commitments = [commitment(opening) for opening in openings]
    except EnvelopeError as error:
        raise fault_of_envelope(error) from error
    is_of_type = all(opening.item_type == RECORD for opening in openings)
    if not is_of_type or commitments != list(body.record_commitments):
        raise _incomplete("the records are not those that the peer signed.")
    parts, start = [], 0
    for subject in body.subjects:
        if subject.reason not in SUBJECT_REASONS:
            raise PeerFaultError("ANSWER_MALFORMED", "a subject has a reason that is none of a subject's.")
        own = tuple(openings[start : start + subject.record_count])
        start += subject.record_count
        parts.append(
            SubjectPart(
                subject.position,
                SUBJECT_REASONS[subject.reason],
                own,
                tuple(_record(opening, composed) for opening in own),
                subject.continues,
            )
        )
    return tuple(parts)


def _record(opening: Opening, composed: Composed) -> LearningRecord:
    try:
        record = parse(LearningRecord, opening.item, "record")
    except EnvelopeError as error:
        raise fault_of_envelope(error) from error
    if record.source_node != composed.peer.node_id:
        raise _incomplete("a record does not come from the peer that sent it.")
    return record


def _incomplete(text: str) -> PeerFaultError:
    return PeerFaultError(
        "ANSWER_INCOMPLETE", text, remedy="Ask again; if it repeats, tell the peer's operator."
    )
