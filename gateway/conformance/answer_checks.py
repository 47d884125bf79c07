"""What an asker checks of an answer or a signed refusal, one rule a function (sections 3, 5 and 6).

Each takes a reply and raises :class:`DepartureError`. Each checks its own rule alone, so that one
fault shows in one case.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta
from hashlib import sha256
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from creditexchange.v1.audit_pb2 import ErasureConfirmation, NotifyErasureResponse
from creditexchange.v1.change_pb2 import ChangeConfirmation, NotifyChangeResponse
from creditexchange.v1.code_pb2 import RedeemCodeResponse
from creditexchange.v1.envelope_pb2 import Receipt, Refusal, RefusalBody, SignedMessage
from creditexchange.v1.exchange_pb2 import (
    CertificateAnswer,
    CertificateAnswerBody,
    EchoAnswer,
    EchoResponse,
    LocateRecordsResponse,
    LocationAnswer,
    LocationAnswerBody,
    QueryRecordsInBulkResponse,
    QueryRecordsResponse,
    RecordAnswer,
    RecordAnswerBody,
    RecordAnswerChunk,
    RecordAnswerChunkBody,
    VerifyCertificateResponse,
)
from creditexchange.v1.node_pb2 import KEY_ROLE_MESSAGE
from creditexchange.v1.reason_pb2 import Reason
from creditexchange.v1.record_pb2 import LearningRecord
from gateway.audit import Checkpoint, ProofError, leaf_hash, open_checkpoint, verify_inclusion
from gateway.conformance.draft import (
    ECHO,
    LOCATE_RECORDS,
    NOTIFY_CHANGE,
    NOTIFY_ERASURE,
    QUERY_IN_BULK,
    REDEEM_CODE,
    VERIFY_CERTIFICATE,
    Sent,
    answer_type_of,
)
from gateway.conformance.expectation import DepartureError, Reply
from gateway.conformance.wire import commitments_root, leaf_of_exchange, payload_type, signed_bytes
from gateway.errors import EnvelopeError
from gateway.signing.signed_note import NoteError

M = TypeVar("M", bound=Message)

SKEW_S = 30
WINDOW_S_MAX = 120


def is_signed(reply: Reply) -> None:
    """Signed by a live message key of the card, over the bytes that came (section 2)."""
    message = _message(reply)
    expected = payload_type("refusal") if reply.raw.signed else answer_type_of(reply.method)
    if message.payload_type != expected:
        raise DepartureError(f"the payload type is {message.payload_type[:80]!r}")
    keys = reply.card.live_keys(KEY_ROLE_MESSAGE, reply.at)
    known = [s for s in message.signatures if s.key_id in keys]
    if not known:
        raise DepartureError("no signature is by a live message key of the card")
    signed = signed_bytes(message.payload_type, message.payload)
    for signature in known:
        try:
            keys[signature.key_id].verify(signature.signature, signed)
        except EnvelopeError as error:
            raise DepartureError("a signature does not verify") from error
    is_refusal = bool(reply.raw.signed)  # which has no room for long signatures
    offered = {key.suite for key in keys.values() if key.suite.is_compact or not is_refusal}
    missing = offered - {keys[signature.key_id].suite for signature in known}
    if missing:
        raise DepartureError(f"no signature of {', '.join(sorted(suite.name for suite in missing))}")


def is_bound(reply: Reply) -> None:
    """Bound to the request by names, numbers, id and signed digest (section 3)."""
    sent, header = _sent(reply), _payload(reply).header
    expected = {
        "protocol_version": 1,
        "sender": reply.card.node_id,
        "audience": sent.header.sender,
        "method": sent.method,
        "exchange_id": sent.header.exchange_id,
        "pair_sequence": sent.header.pair_sequence,
        "in_reply_to": sent.header.message_id,
        "request_digest": sent.digest,
    }
    wrong = [name for name, value in expected.items() if getattr(header, name) != value]
    if wrong:
        raise DepartureError(f"the header differs in {', '.join(wrong)}")
    if len(header.message_id) != 16 or header.message_id == sent.header.message_id:
        raise DepartureError("the header has no message_id of its own")


def is_timely(reply: Reply) -> None:
    """Issued now, with a window of at most 120 s (section 3)."""
    header = _payload(reply).header
    issued, expires = header.issue_time.ToDatetime(UTC), header.expire_time.ToDatetime(UTC)
    if not timedelta() < expires - issued <= timedelta(seconds=WINDOW_S_MAX):
        raise DepartureError("the window is not between 0 and 120 s")
    skew = timedelta(seconds=SKEW_S)
    if issued - reply.at > skew or reply.at - expires > skew:
        raise DepartureError("the times are not now")


def answers_the_query(reply: Reply) -> None:
    """``query_body_digest`` is that of the query's body (section 5)."""
    if _answer_body(reply).query_body_digest != sha256(_sent(reply).body).digest():
        raise DepartureError("query_body_digest is not that of the query")


def records_are_whole(reply: Reply) -> None:
    """Openings lead to ``records_root``, counts fit, every record is the answerer's (sections 4 and 5)."""
    body, openings = _answer_body(reply), _response(reply).openings
    if any(o.item_type != "record" or len(o.key) != 32 for o in openings):
        raise DepartureError("an opening is no record or its key is not 32 bytes long")
    if commitments_root(openings) != body.records_root:
        raise DepartureError("the openings do not lead to records_root")
    if list(body.record_counts) != [len(openings)]:
        raise DepartureError("record_counts is not the number of openings")
    if any(_parse(LearningRecord, o.item).source_node != reply.card.node_id for o in openings):
        raise DepartureError("a record is not the answerer's")


def is_nobody(reply: Reply) -> None:
    """Nothing is held about the invented learner (section 5)."""
    if list(_answer_body(reply).record_counts) != [0]:
        raise DepartureError("records of an invented learner were given")


def is_whole_in_bulk(replies: Sequence[Reply], subjects: int) -> None:
    """Chunks in order and chained, the last one marked, every subject once, nothing held (section 5)."""
    previous, positions = b"", list[int]()
    for at, reply in enumerate(replies, 1):
        body = _answer_body(reply)
        if (body.number, body.previous_digest) != (at, previous):
            raise DepartureError(f"chunk {at} is not the next one of this answer")
        if body.is_last != (at == len(replies)):
            raise DepartureError("not the last chunk, and only it, is marked as the last")
        positions += [subject.position for subject in body.subjects]
        if any(s.record_count or s.continues or s.reason for s in body.subjects) or body.record_commitments:
            raise DepartureError("something is said of an invented learner")
        previous = sha256(_payload(reply).body).digest()
    if positions != list(range(subjects)):
        raise DepartureError("the subjects are not those of the query, each once and in order")


def is_unknown_certificate(reply: Reply) -> None:
    """The invented certificate is not known and has no state (section 5)."""
    body = _answer_body(reply)
    if body.is_known or body.state:
        raise DepartureError("an invented certificate is known")


def holds_nothing(reply: Reply) -> None:
    """Nothing is held about the invented learner (section 5)."""
    if _answer_body(reply).held_kinds:
        raise DepartureError("something is held about an invented learner")


def receipt_names_the_log(reply: Reply) -> None:
    """``log_origin`` equals the card's (section 5, receipt 1)."""
    if _receipt(reply).log_origin != reply.card.log_origin:
        raise DepartureError("the receipt names another log than the card")


def checkpoint_is_signed(reply: Reply) -> None:
    """The receipt's checkpoint is signed by the card's log key (section 5, receipt 2)."""
    open_head(_receipt(reply).checkpoint, reply)


def is_logged(reply: Reply) -> None:
    """The entry, rebuilt from what the asker holds, is included (section 5, receipt 3)."""
    sent, receipt, body = _sent(reply), _receipt(reply), _payload(reply).body
    leaf = leaf_of_exchange(
        sent.header,
        answerer=reply.card.node_id,
        method=sent.method,
        purpose=sent.purpose,
        request_digest=sent.digest,
        answer_body=body,
        outcome=reply.raw.reason or "OK",
        count=_count(reply),
        logged_at_ms=receipt.logged_at_ms,
        chunk=_chunk(reply),
    )
    head = open_head(receipt.checkpoint, reply)
    try:
        verify_inclusion(leaf_hash(leaf), receipt.leaf_index, head.size, receipt.inclusion_proof, head.root)
    except ProofError as error:
        raise DepartureError(f"the rebuilt entry is not included: {error.message}") from error


def states_its_reason(reply: Reply) -> None:
    """The signed refusal states the reason of the status (section 6)."""
    body = _parse(RefusalBody, _payload(reply).body)
    if body.reason not in Reason.values() or Reason.Name(body.reason) != f"REASON_{reply.raw.reason}":
        raise DepartureError("the signed reason differs from the status")


def is_not_signed(reply: Reply) -> None:
    """No signed refusal is among the details (section 6)."""
    if reply.raw.signed is not None:
        raise DepartureError("the refusal is signed and should not be")


def open_head(note: str, reply: Reply) -> Checkpoint:
    """Return the checkpoint of the node's log that ``note`` holds."""
    try:
        return open_checkpoint(note, reply.card.log_origin, reply.card.log_verifier)
    except (NoteError, ProofError) as error:
        raise DepartureError(f"the checkpoint: {error.message}") from error


def payload_of(reply: Reply, kind: type[M]) -> M:
    """Return the payload of an answer as ``kind``, without believing it."""
    return _parse(kind, _message(reply).payload)


def response_of(reply: Reply, kind: type[M]) -> M:
    """Return an answer without signed message as ``kind``."""
    if reply.raw.code != "OK":
        raise DepartureError(f"refused ({reply.raw.text or reply})")
    return _parse(kind, reply.raw.body)


def _response(reply: Reply) -> Any:
    kinds: dict[str, type[Message]] = {
        ECHO: EchoResponse,
        NOTIFY_ERASURE: NotifyErasureResponse,
        NOTIFY_CHANGE: NotifyChangeResponse,
        REDEEM_CODE: RedeemCodeResponse,
        VERIFY_CERTIFICATE: VerifyCertificateResponse,
        LOCATE_RECORDS: LocateRecordsResponse,
        QUERY_IN_BULK: QueryRecordsInBulkResponse,
    }
    return response_of(reply, kinds.get(reply.method, QueryRecordsResponse))


def _message(reply: Reply) -> SignedMessage:
    if reply.raw.code == "OK":
        message: SignedMessage = _response(reply).message
        return message
    if reply.raw.signed is None:
        raise DepartureError("there is no signed refusal")
    return reply.raw.signed


def _payload(reply: Reply) -> Any:
    kinds: dict[str, type[Message]] = {
        ECHO: EchoAnswer,
        NOTIFY_ERASURE: ErasureConfirmation,
        NOTIFY_CHANGE: ChangeConfirmation,
        VERIFY_CERTIFICATE: CertificateAnswer,
        LOCATE_RECORDS: LocationAnswer,
        QUERY_IN_BULK: RecordAnswerChunk,
    }
    kind = Refusal if reply.raw.signed is not None else kinds.get(reply.method, RecordAnswer)
    return payload_of(reply, kind)


def _answer_body(reply: Reply) -> Any:
    kinds: dict[str, type[Message]] = {
        VERIFY_CERTIFICATE: CertificateAnswerBody,
        LOCATE_RECORDS: LocationAnswerBody,
        QUERY_IN_BULK: RecordAnswerChunkBody,
    }
    return _parse(kinds.get(reply.method, RecordAnswerBody), _payload(reply).body)


def _count(reply: Reply) -> int:
    if reply.raw.code != "OK":
        return 0
    body = _answer_body(reply)
    if reply.method == QUERY_IN_BULK:
        return sum(subject.record_count for subject in body.subjects)
    if reply.method == VERIFY_CERTIFICATE:
        return int(body.is_known)
    return len(body.held_kinds) if reply.method == LOCATE_RECORDS else sum(body.record_counts)


def _chunk(reply: Reply) -> int:
    """Return the number that the leaf states: a refusal of the whole query stands for the first chunk."""
    if reply.method != QUERY_IN_BULK:
        return 0
    return int(_answer_body(reply).number) if reply.raw.code == "OK" else 1


def _receipt(reply: Reply) -> Receipt:
    receipt: Receipt = _payload(reply).receipt
    return receipt


def _sent(reply: Reply) -> Sent:
    assert reply.sent is not None
    return reply.sent


def _parse(kind: type[M], data: bytes) -> M:
    message = kind()
    try:
        message.ParseFromString(data)
    except (DecodeError, ValueError) as error:
        raise DepartureError(f"{kind.DESCRIPTOR.name} does not parse") from error
    return message
