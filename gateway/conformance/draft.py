"""One message before it leaves: correct as it is made, and wrong in whatever a case makes wrong."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from google.protobuf.message import Message

from creditexchange.v1.audit_pb2 import ErasureNotice, ErasureNoticeBody, NotifyErasureRequest
from creditexchange.v1.change_pb2 import ChangeNotice, ChangeNoticeBody, NotifyChangeRequest
from creditexchange.v1.code_pb2 import CodeRedemption, CodeRedemptionBody, RedeemCodeRequest
from creditexchange.v1.envelope_pb2 import Header, Opening, SignedMessage
from creditexchange.v1.exchange_pb2 import (
    EchoQuery,
    EchoRequest,
    LocateRecordsRequest,
    QueryRecordsInBulkRequest,
    QueryRecordsRequest,
    RecordQuery,
    RecordQueryBody,
    VerifyCertificateRequest,
)
from gateway.conformance.wire import payload_type, signed_bytes, signed_digest
from gateway.signing.suites import SigningKey

EXCHANGE = "/creditexchange.v1.RecordExchangeService"
QUERY_RECORDS = f"{EXCHANGE}/QueryRecords"
VERIFY_CERTIFICATE = f"{EXCHANGE}/VerifyCertificate"
LOCATE_RECORDS = f"{EXCHANGE}/LocateRecords"
QUERY_IN_BULK = f"{EXCHANGE}/QueryRecordsInBulk"
ECHO = f"{EXCHANGE}/Echo"
AUDIT = "/creditexchange.v1.AuditLogService"
NOTIFY_ERASURE = f"{AUDIT}/NotifyErasure"
GET_CARD = "/creditexchange.v1.NodeService/GetCard"
NOTIFY_CHANGE = "/creditexchange.v1.ChangeNoticeService/NotifyChange"
REDEEM_CODE = "/creditexchange.v1.LearningCodeService/RedeemCode"

QUERIES: dict[
    str,
    type[QueryRecordsRequest | VerifyCertificateRequest | LocateRecordsRequest | QueryRecordsInBulkRequest],
] = {
    QUERY_RECORDS: QueryRecordsRequest,
    VERIFY_CERTIFICATE: VerifyCertificateRequest,
    LOCATE_RECORDS: LocateRecordsRequest,
    QUERY_IN_BULK: QueryRecordsInBulkRequest,
}
"""The methods that take a record query, and their requests."""

WINDOW_S = 60
UNKNOWN_FIELD = b"\xf2\xff\xff\xff\x0f\x04spam"
"""Field 536870910 of type bytes: in no message of version 1."""

Tampering = Callable[[SignedMessage], None]


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, and what its answer must be bound to."""

    method: str
    """The method that was called."""
    header: Header
    body: bytes
    purpose: int
    digest: bytes
    request: bytes


@dataclass
class Draft:
    """A message that a case may change. ``body`` is empty for an echo, ``content`` for all others."""

    header: Header
    called: str
    """The method that is called; the header may state another one."""
    type_: str
    keys: tuple[SigningKey, ...]
    """Every message bears a signature of each."""
    body: RecordQueryBody | ErasureNoticeBody | ChangeNoticeBody | CodeRedemptionBody | None = None
    openings: list[Opening] = field(default_factory=list)
    content: bytes = b""
    after_body: bytes = b""
    """Bytes behind the serialised body, for example an unknown field."""
    after_payload: bytes = b""
    after_request: bytes = b""

    def set_times(self, now: datetime, issued_s: float, expires_s: float) -> None:
        """Set both times, in seconds from ``now``."""
        self.header.issue_time.FromDatetime(now + timedelta(seconds=issued_s))
        self.header.expire_time.FromDatetime(now + timedelta(seconds=expires_s))

    def retry(self, sequence: int) -> Draft:
        """Return the retry of this message: all new but the exchange id and the body (section 3)."""
        header = Header()
        header.CopyFrom(self.header)
        header.message_id, header.pair_sequence = secrets.token_bytes(16), sequence
        return Draft(header, self.called, self.type_, self.keys, self.body, list(self.openings))

    def sign(self, tamper: Tampering | None = None) -> Sent:
        """Sign and serialise; ``tamper`` may change the signed message before it goes out."""
        body = self._body()
        payload = self._payload(body).SerializeToString() + self.after_payload
        message = SignedMessage(payload=payload, payload_type=self.type_)
        for key in self.keys:
            signature = key.sign(signed_bytes(self.type_, payload))
            message.signatures.add(key_id=key.key_id, signature=signature)
        if tamper is not None:
            tamper(message)
        return Sent(
            method=self.called,
            header=self.header,
            body=body,
            purpose=self.body.purpose if isinstance(self.body, RecordQueryBody) else 0,
            digest=signed_digest(message.payload_type, message.payload),
            request=self._request(message).SerializeToString() + self.after_request,
        )

    def _body(self) -> bytes:
        return (self.body.SerializeToString() if self.body is not None else b"") + self.after_body

    def _payload(self, body: bytes) -> Message:
        if isinstance(self.body, ErasureNoticeBody):
            return ErasureNotice(header=self.header, body=body)
        if isinstance(self.body, ChangeNoticeBody):
            return ChangeNotice(header=self.header, body=body)
        if isinstance(self.body, CodeRedemptionBody):
            return CodeRedemption(header=self.header, body=body)
        if isinstance(self.body, RecordQueryBody) or self.called in QUERIES:
            return RecordQuery(header=self.header, body=body)
        return EchoQuery(header=self.header, content=self.content)

    def _request(self, message: SignedMessage) -> Message:
        if self.called == ECHO:
            return EchoRequest(message=message)
        if self.called == NOTIFY_ERASURE:
            return NotifyErasureRequest(message=message)
        if self.called == NOTIFY_CHANGE:
            return NotifyChangeRequest(message=message)
        if self.called == REDEEM_CODE:
            return RedeemCodeRequest(message=message, openings=self.openings)
        return QUERIES.get(self.called, QueryRecordsRequest)(message=message, openings=self.openings)


def type_of(method: str) -> str:
    """Return the payload type of a request to ``method`` (section 2)."""
    names = {
        ECHO: "echo-query",
        NOTIFY_ERASURE: "erasure-notice",
        NOTIFY_CHANGE: "change-notice",
        REDEEM_CODE: "code-redemption",
    }
    return payload_type(names.get(method, "record-query"))


def answer_type_of(method: str) -> str:
    """Return the payload type of an answer of ``method`` (section 2)."""
    names = {
        ECHO: "echo-answer",
        NOTIFY_ERASURE: "erasure-confirmation",
        NOTIFY_CHANGE: "change-confirmation",
        REDEEM_CODE: "code-redemption-answer",
        VERIFY_CERTIFICATE: "certificate-answer",
        LOCATE_RECORDS: "location-answer",
        QUERY_IN_BULK: "record-answer-chunk",
    }
    return payload_type(names.get(method, "record-answer"))
