"""Believe an answer only after everything about it was checked: signature, binding, time, receipt.

Pure: bytes, keys and *now* come in, a value or an error goes out.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TypeVar

from google.protobuf.message import Message

from creditexchange.v1.envelope_pb2 import Header, Opening, Receipt, Refusal, RefusalBody, SignedMessage
from creditexchange.v1.exchange_pb2 import (
    CertificateAnswerBody,
    LocationAnswerBody,
    QueryRecordsResponse,
    RecordAnswerBody,
    RecordQueryBody,
)
from creditexchange.v1.reason_pb2 import Reason
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit import PeerCheckpoint, verify_receipt
from gateway.audit.commitment import RECORD, require_root
from gateway.errors import EnvelopeError, GatewayError, PeerFaultError
from gateway.exchange.asking.compose import Composed
from gateway.exchange.forms import QUERY_FORMS, Answer, AnswerBody, QueryResponse
from gateway.exchange.messages import REFUSAL_TYPE, WINDOW_S_MAX, Snapshot
from gateway.signing.envelope import OpenedEnvelope, open_envelope, parse

P = TypeVar("P", bound=Message)


@dataclass(frozen=True, slots=True)
class Content:
    """What an answer says, by method."""

    count: int = 0
    """What the audit entry states: records, kinds that are held, or whether the certificate is known."""
    openings: tuple[Opening, ...] = ()
    records: tuple[LearningRecord, ...] = ()
    certificate: CertificateAnswerBody | None = None
    held_kinds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifiedAnswer:
    """An answer, or a signed refusal (then ``outcome`` is its reason and the content is empty)."""

    outcome: str
    message: SignedMessage
    body: bytes
    signed_by: str
    receipt: Receipt
    peer_checkpoint: PeerCheckpoint
    content: Content
    issued: datetime
    """When the peer says that it answered, by its clock."""


def verify_answer(composed: Composed, response: bytes, snapshot: Snapshot, now: datetime) -> VerifiedAnswer:
    """Return what a peer answers to ``composed``.

    Raises:
        PeerFaultError: ``ANSWER_MALFORMED``, ``ANSWER_NOT_SIGNED``, ``ANSWER_NOT_BOUND``,
            ``ANSWER_STALE``, ``ANSWER_INCOMPLETE`` or ``RECEIPT_INVALID``.
    """
    came = open_body(composed, response, snapshot, now)
    content = _content(composed, came.envelope, came.body)
    answer = came.answer
    checkpoint = require_receipt(composed, answer.receipt, "OK", content.count, answer.body, now)
    return VerifiedAnswer(
        outcome="OK",
        message=came.envelope.message,
        body=answer.body,
        signed_by=came.signed_by,
        receipt=answer.receipt,
        peer_checkpoint=checkpoint,
        content=content,
        issued=answer.header.issue_time.ToDatetime(UTC),
    )


@dataclass(frozen=True, slots=True)
class OpenedAnswer:
    """An answer, or one chunk of it, whose signature, binding and query are the right ones."""

    envelope: QueryResponse
    answer: Answer
    body: AnswerBody
    signed_by: str


def open_body(composed: Composed, response: bytes, snapshot: Snapshot, now: datetime) -> OpenedAnswer:
    """Return what ``response`` says, if the peer that was asked says it to this very query.

    Raises:
        PeerFaultError: ``ANSWER_MALFORMED``, ``ANSWER_NOT_SIGNED``, ``ANSWER_NOT_BOUND`` or ``ANSWER_STALE``.
    """
    form = QUERY_FORMS[composed.method]
    try:
        envelope = parse(form.response, response, "response")
        opened = open_answer(composed, envelope.message, form.answer_type, now)
        answer = parse(form.answer, opened.payload, "answer")
        body = parse(form.body, answer.body, "answer body")
    except EnvelopeError as error:
        raise fault_of_envelope(error) from error
    require_bound(answer.header, composed, snapshot, now)
    if not hmac.compare_digest(body.query_body_digest, sha256(composed.body).digest()):
        raise PeerFaultError("ANSWER_NOT_BOUND", "the answer belongs to another query.")
    return OpenedAnswer(envelope, answer, body, opened.key_ids[0])


def _content(composed: Composed, envelope: QueryResponse, body: AnswerBody) -> Content:
    """Return what the body says, after the openings beside it led to what was signed."""
    if isinstance(body, CertificateAnswerBody):
        return Content(int(body.is_known), certificate=body)
    if isinstance(body, LocationAnswerBody):
        return _location(composed, body)
    assert isinstance(envelope, QueryRecordsResponse)
    assert isinstance(body, RecordAnswerBody)
    openings = tuple(envelope.openings)
    records = _records(openings, body, composed)
    return Content(len(records), openings, records)


def _location(composed: Composed, body: LocationAnswerBody) -> Content:
    held = tuple(body.held_kinds)
    asked = parse(RecordQueryBody, composed.body, "query body").kinds
    if list(held) != sorted(set(held)) or not set(asked).issuperset(held):
        raise PeerFaultError("ANSWER_MALFORMED", "the answer names kinds that were not asked for.")
    return Content(len(held), held_kinds=held)


def verify_refusal(
    composed: Composed, message: SignedMessage, stated: str, snapshot: Snapshot, now: datetime, chunk: int = 0
) -> VerifiedAnswer:
    """Return a peer's signed refusal of ``composed``; ``stated`` is the reason beside it.

    In bulk it stands in the place of ``chunk``.

    Raises:
        PeerFaultError: as :func:`verify_answer`; the refusal is then worth no more than its status.
    """
    try:
        opened = open_answer(composed, message, REFUSAL_TYPE, now)
        refusal = parse(Refusal, opened.payload, "refusal")
        body = parse(RefusalBody, refusal.body, "refusal body")
    except EnvelopeError as error:
        raise fault_of_envelope(error) from error
    require_bound(refusal.header, composed, snapshot, now)
    try:
        reason = Reason.Name(body.reason).removeprefix("REASON_")
    except ValueError as error:
        raise PeerFaultError("ANSWER_MALFORMED", "the refusal states an unknown reason.") from error
    if reason != stated:
        raise PeerFaultError("ANSWER_NOT_BOUND", "the signed reason differs from the status.")
    checkpoint = require_receipt(composed, refusal.receipt, reason, 0, refusal.body, now, chunk)
    return VerifiedAnswer(
        outcome=reason,
        message=message,
        body=refusal.body,
        signed_by=opened.key_ids[0],
        receipt=refusal.receipt,
        peer_checkpoint=checkpoint,
        content=Content(),
        issued=refusal.header.issue_time.ToDatetime(UTC),
    )


def require_bound_header(header: Header, asked: Header, digest: bytes, skew_s: int, now: datetime) -> None:
    """Return if ``header`` answers the message that had the header ``asked`` and signed digest ``digest``.

    Raises:
        PeerFaultError: ``ANSWER_NOT_BOUND`` or ``ANSWER_STALE``.
    """
    bound = (
        header.sender == asked.audience
        and header.audience == asked.sender
        and header.method == asked.method
        and header.exchange_id == asked.exchange_id
        and header.pair_sequence == asked.pair_sequence
        and header.in_reply_to == asked.message_id
        and hmac.compare_digest(header.request_digest, digest)
    )
    if not bound:
        raise PeerFaultError(
            "ANSWER_NOT_BOUND",
            "the answer belongs to another request.",
            remedy="Somebody may be swapping answers: tell the peer's operator.",
        )
    skew = timedelta(seconds=skew_s)
    try:
        issued, expires = header.issue_time.ToDatetime(UTC), header.expire_time.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise PeerFaultError("ANSWER_MALFORMED", "the answer's times are malformed.") from error
    if issued - now > skew or now - expires > skew or expires - issued > timedelta(seconds=WINDOW_S_MAX):
        raise PeerFaultError(
            "ANSWER_STALE",
            f"the answer's time is off by {abs((issued - now).total_seconds()):.0f} s.",
            remedy="One of the two clocks is wrong: run `credit-gateway peers check`.",
        )


def require_bound(header: Header, composed: Composed, snapshot: Snapshot, now: datetime) -> None:
    """Return if ``header`` answers ``composed``; raises as :func:`require_bound_header`."""
    require_bound_header(header, composed.header, composed.digest, snapshot.settings.skew_s, now)


def open_answer(composed: Composed, message: SignedMessage, type_: str, now: datetime) -> OpenedEnvelope:
    """Verify ``message`` under a live key of the peer that was asked. Raises ``EnvelopeError``."""
    return open_envelope(message, type_, lambda key_id: composed.peer.message_key(key_id, now))


def _records(
    openings: tuple[Opening, ...], body: RecordAnswerBody, composed: Composed
) -> tuple[LearningRecord, ...]:
    try:
        require_root(openings, RECORD, body.records_root)
        records = tuple(parse(LearningRecord, opening.item, "record") for opening in openings)
    except EnvelopeError as error:
        raise PeerFaultError(
            "ANSWER_INCOMPLETE",
            "the records are not those that the peer signed.",
            remedy="Ask again; if it repeats, tell the peer's operator.",
        ) from error
    if list(body.record_counts) != [len(records)]:
        raise PeerFaultError("ANSWER_INCOMPLETE", "the number of records is not the one that was signed.")
    if any(record.source_node != composed.peer.node_id for record in records):
        raise PeerFaultError("ANSWER_INCOMPLETE", "a record does not come from the peer that sent it.")
    return records


def require_receipt(
    composed: Composed,
    receipt: Receipt,
    outcome: str,
    count: int,
    body: bytes,
    now: datetime,
    chunk: int = 0,
) -> PeerCheckpoint:
    """Rebuild the peer's log entry from what we hold and demand its inclusion.

    Raises:
        PeerFaultError: ``RECEIPT_INVALID``.
    """
    expected = composed.entry(
        "exchange", "answerer", outcome, count=count, answer_digest=sha256(body).digest(), chunk=chunk
    )
    card = composed.peer.card
    try:
        if receipt.log_origin != card.log_origin:
            raise PeerFaultError("RECEIPT_INVALID", "the receipt names another log than the peer's card.")
        return verify_receipt(expected, receipt, card.live_log_verifiers(now))
    except PeerFaultError:
        raise
    except GatewayError as error:
        raise PeerFaultError(
            "RECEIPT_INVALID",
            "the peer did not prove that it logged this exchange.",
            remedy="Its records are not shown. Its operator should run `credit-gateway audit verify`.",
        ) from error


def fault_of_envelope(error: EnvelopeError) -> PeerFaultError:
    """Return what an answer that does not open is called."""
    if error.reason in ("UNKNOWN_KEY", "INVALID_SIGNATURE"):
        return PeerFaultError(
            "ANSWER_NOT_SIGNED",
            f"the answer is not signed by a key of the peer's card: {error.message}",
            remedy="If the peer changed its keys, ask for its newest card.",
        )
    return PeerFaultError("ANSWER_MALFORMED", f"the answer cannot be read: {error.message}")
