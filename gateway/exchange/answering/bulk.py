"""The eight steps for a query in bulk: three for the query, the others for each chunk of the answer.

Every chunk is logged, durably, before it leaves; what is not wanted any more is neither looked up nor
logged (docs/decisions/0012-bulk.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256

from creditexchange.v1.exchange_pb2 import (
    QueryRecordsInBulkResponse,
    RecordAnswerChunk,
    RecordAnswerChunkBody,
    RecordQuery,
    SubjectAnswer,
)
from creditexchange.v1.reason_pb2 import Reason
from gateway.audit import AuditLog, Evidence, SeenMessage, SubjectEvidence, serialised_openings
from gateway.audit.commitment import RECORD, commitment, open_items
from gateway.errors import RefusedError
from gateway.exchange.answering.admit import admit_new
from gateway.exchange.answering.answer import Answering, parse_request, require_time
from gateway.exchange.answering.bulk_authorise import AuthorisedBulk, authorise_bulk
from gateway.exchange.answering.bulk_chunks import Chunk, Piece, chunks_of
from gateway.exchange.answering.charging import charge_of
from gateway.exchange.answering.count import count
from gateway.exchange.answering.open import open_message
from gateway.exchange.answering.refuse import Owed, SignedRefusalError, sign_refusals
from gateway.exchange.answering.seal import answer_header
from gateway.exchange.consents import is_revoked
from gateway.exchange.messages import (
    RECORD_ANSWER_CHUNK_TYPE,
    RECORD_QUERY_TYPE,
    Admitted,
    IncomingCall,
    Opened,
    Snapshot,
)
from gateway.policy.purposes import purpose_word
from gateway.signing.envelope import seal
from gateway.telemetry.timings import StepTimes


@dataclass
class _Progress:
    """How far the answer has come."""

    times: StepTimes = field(default_factory=StepTimes)
    opened: Opened[RecordQuery] | None = None
    chunk: int = 1
    """The chunk that comes next."""
    previous_digest: bytes = b""
    records: int = 0


def answer_in_bulk(
    request: bytes, call: IncomingCall, snapshot: Snapshot, node: Answering
) -> Iterator[bytes]:
    """Yield the signed chunks that answer one query about up to 1,000 learners.

    Raises:
        SignedRefusalError: the query is refused, or the answer cannot go on; chunks that were yielded
            before stand.
    """
    progress = _Progress()
    try:
        authorised = _authorised(request, call, snapshot, node, progress)
        for chunk in chunks_of(authorised, node.source, snapshot):
            progress.times.done("find")
            require_time(call)
            yield _answer_chunk(chunk, authorised, snapshot, node, progress)
        assert progress.opened is not None
        count(call, progress.opened, "OK", progress.records, progress.times, node.metrics)
    except RefusedError as refused:
        raise _refuse(refused, call, snapshot, node, progress) from refused
    except GeneratorExit:  # the asker has gone
        count(call, progress.opened, "DEADLINE_TOO_SHORT", progress.records, progress.times, node.metrics)
        raise


def _refuse(
    refused: RefusedError, call: IncomingCall, snapshot: Snapshot, node: Answering, progress: _Progress
) -> SignedRefusalError:
    """Log, sign and count a refusal in the place of the chunk that comes next."""
    owed = Owed(progress.opened, refused, snapshot, progress.chunk)
    (error,) = sign_refusals([owed], node.log, node.clock)
    progress.times.done("refuse")
    count(call, progress.opened, error.reason, 0, progress.times, node.metrics)
    return error


def _authorised(
    request: bytes, call: IncomingCall, snapshot: Snapshot, node: Answering, progress: _Progress
) -> AuthorisedBulk:
    """Steps 1 to 3, for the whole query."""
    message, openings = parse_request(request, call.method)
    opened = open_message(call, message, RecordQuery, RECORD_QUERY_TYPE, snapshot.roster)
    progress.opened = opened
    progress.times.done("open")
    admitted = admit_new(opened, snapshot, node.log)
    progress.times.done("admit")
    authorised = authorise_bulk(admitted, openings, snapshot, partial(is_revoked, node.log))
    _require_new(admitted, node.log)
    progress.times.done("authorise")
    require_time(call)
    return authorised


def _require_new(admitted: Admitted[RecordQuery], log: AuditLog) -> None:
    """Refuse an exchange of which a chunk was answered: its rest is asked for as an exchange of its own."""
    opened = admitted.opened
    if log.is_answered(opened.signer.node_id, opened.header.exchange_id):
        raise RefusedError("EXCHANGE_CONFLICT", "this exchange was answered, at least in part.")


def _answer_chunk(
    chunk: Chunk, authorised: AuthorisedBulk, snapshot: Snapshot, node: Answering, progress: _Progress
) -> bytes:
    """Log one chunk, then return it signed."""
    admitted = authorised.admitted
    opened = admitted.opened
    opened_records = [open_items(RECORD, piece.records) for piece in chunk.pieces]
    openings = [opening for each in opened_records for opening in each]
    serialised = [serialised_openings(each) for each in opened_records]
    body = RecordAnswerChunkBody(
        number=chunk.number,
        is_last=chunk.is_last,
        previous_digest=progress.previous_digest,
        subjects=[_stated(piece) for piece in chunk.pieces],
        record_commitments=[commitment(opening) for opening in openings],
        scheme=snapshot.scheme.reference,
        query_body_digest=sha256(opened.payload.body).digest(),
    ).SerializeToString()
    digest = sha256(body).digest()
    purpose = purpose_word(authorised.body.purpose)
    appended = node.log.append(
        opened.entry(snapshot.node_id, purpose, "OK", len(openings), digest, chunk.number),
        seen=SeenMessage(opened.header.message_id, admitted.expires_at) if chunk.number == 1 else None,
        evidence=_evidence(opened, body, chunk, serialised),
        charge=charge_of(
            snapshot,
            opened.signer.node_id,
            authorised.body.purpose,
            _learners_answered(chunk),
            opened.call.received_at,
        ),
    )
    progress.times.done("log")
    answer = RecordAnswerChunk(
        header=answer_header(opened, snapshot, node.clock(), appended.receipt),
        body=body,
        receipt=appended.receipt,
    )
    message = seal(answer.SerializeToString(), RECORD_ANSWER_CHUNK_TYPE, snapshot.message_keys)
    progress.chunk, progress.previous_digest = chunk.number + 1, digest
    progress.records += len(openings)
    progress.times.done("seal")
    # In pieces, as in seal: what is kept of each learner is what is sent.
    return QueryRecordsInBulkResponse(message=message).SerializeToString() + b"".join(serialised)


def _learners_answered(chunk: Chunk) -> int:
    """Return how many learners this chunk completes: what it takes off the peer's quota."""
    return sum(not piece.continues and not piece.reason for piece in chunk.pieces)


def _stated(piece: Piece) -> SubjectAnswer:
    return SubjectAnswer(
        position=piece.subject.position,
        record_count=len(piece.records),
        continues=piece.continues,
        reason=Reason.Value(f"REASON_{piece.reason or 'UNSPECIFIED'}"),
    )


def _evidence(opened: Opened[RecordQuery], body: bytes, chunk: Chunk, serialised: list[bytes]) -> Evidence:
    """Return what the chunk leaves behind: each learner's openings can be erased alone."""
    return Evidence(
        request_message=opened.message.SerializeToString(),
        request_body=opened.payload.body,
        answer_body=body,
        subjects=[
            SubjectEvidence(piece.subject.position, piece.subject.token, piece.subject.openings, sent)
            for piece, sent in zip(chunk.pieces, serialised, strict=True)
        ],
    )
