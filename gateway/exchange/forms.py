"""Of which messages an exchange is made: methods that take a record query, and notices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from creditexchange.v1.audit_pb2 import (
    ErasureConfirmation,
    ErasureNotice,
    NotifyErasureRequest,
    NotifyErasureResponse,
)
from creditexchange.v1.change_pb2 import (
    ChangeConfirmation,
    ChangeNotice,
    NotifyChangeRequest,
    NotifyChangeResponse,
)
from creditexchange.v1.exchange_pb2 import (
    CertificateAnswer,
    CertificateAnswerBody,
    LocateRecordsRequest,
    LocateRecordsResponse,
    LocationAnswer,
    LocationAnswerBody,
    QueryRecordsInBulkRequest,
    QueryRecordsInBulkResponse,
    QueryRecordsRequest,
    QueryRecordsResponse,
    RecordAnswer,
    RecordAnswerBody,
    RecordAnswerChunk,
    RecordAnswerChunkBody,
    VerifyCertificateRequest,
    VerifyCertificateResponse,
)
from gateway.exchange.messages import (
    CERTIFICATE_ANSWER_TYPE,
    CHANGE_CONFIRMATION_TYPE,
    CHANGE_NOTICE_TYPE,
    ERASURE_CONFIRMATION_TYPE,
    ERASURE_NOTICE_TYPE,
    LOCATE_RECORDS,
    LOCATION_ANSWER_TYPE,
    NOTIFY_CHANGE,
    NOTIFY_ERASURE,
    QUERY_IN_BULK,
    QUERY_RECORDS,
    RECORD_ANSWER_CHUNK_TYPE,
    RECORD_ANSWER_TYPE,
    VERIFY_CERTIFICATE,
)

Answer = RecordAnswer | CertificateAnswer | LocationAnswer | RecordAnswerChunk
"""A signed answer, or one chunk of it: header, body and receipt."""
QueryRequest = (
    QueryRecordsRequest | VerifyCertificateRequest | LocateRecordsRequest | QueryRecordsInBulkRequest
)
QueryResponse = (
    QueryRecordsResponse | VerifyCertificateResponse | LocateRecordsResponse | QueryRecordsInBulkResponse
)
AnswerBody = RecordAnswerBody | CertificateAnswerBody | LocationAnswerBody | RecordAnswerChunkBody


@dataclass(frozen=True, slots=True)
class QueryForm:
    """The messages of one method. Every request holds a signed ``RecordQuery`` and its openings."""

    method: str
    request: type[QueryRequest]
    response: type[QueryResponse]
    answer_type: str
    """Payload type of the answer."""
    answer: type[Answer]
    """The signed payload."""
    body: type[AnswerBody]


_FORMS = (
    QueryForm(
        QUERY_RECORDS,
        QueryRecordsRequest,
        QueryRecordsResponse,
        RECORD_ANSWER_TYPE,
        RecordAnswer,
        RecordAnswerBody,
    ),
    QueryForm(
        VERIFY_CERTIFICATE,
        VerifyCertificateRequest,
        VerifyCertificateResponse,
        CERTIFICATE_ANSWER_TYPE,
        CertificateAnswer,
        CertificateAnswerBody,
    ),
    QueryForm(
        LOCATE_RECORDS,
        LocateRecordsRequest,
        LocateRecordsResponse,
        LOCATION_ANSWER_TYPE,
        LocationAnswer,
        LocationAnswerBody,
    ),
)
_BULK_FORM = QueryForm(
    QUERY_IN_BULK,
    QueryRecordsInBulkRequest,
    QueryRecordsInBulkResponse,
    RECORD_ANSWER_CHUNK_TYPE,
    RecordAnswerChunk,
    RecordAnswerChunkBody,
)


@dataclass(frozen=True, slots=True)
class NoticeForm:
    """The messages of a method that tells something until it is confirmed."""

    method: str
    action: Literal["erasure-notice", "change-notice"]
    """How each side's log calls it."""
    request: type[NotifyErasureRequest | NotifyChangeRequest]
    response: type[NotifyErasureResponse | NotifyChangeResponse]
    notice_type: str
    """Payload type of the notice."""
    notice: type[ErasureNotice | ChangeNotice]
    """The signed payload: header and body."""
    confirmation_type: str
    confirmation: type[ErasureConfirmation | ChangeConfirmation]
    """The signed payload: header, ``notice_id`` and ``known_count``."""


ERASURE_FORM = NoticeForm(
    NOTIFY_ERASURE,
    "erasure-notice",
    NotifyErasureRequest,
    NotifyErasureResponse,
    ERASURE_NOTICE_TYPE,
    ErasureNotice,
    ERASURE_CONFIRMATION_TYPE,
    ErasureConfirmation,
)
CHANGE_FORM = NoticeForm(
    NOTIFY_CHANGE,
    "change-notice",
    NotifyChangeRequest,
    NotifyChangeResponse,
    CHANGE_NOTICE_TYPE,
    ChangeNotice,
    CHANGE_CONFIRMATION_TYPE,
    ChangeConfirmation,
)
NOTICE_FORMS = (ERASURE_FORM, CHANGE_FORM)

LONE_FORMS = {form.method: form for form in _FORMS}
"""By full method name: the methods about one learner, which have one answer."""
QUERY_FORMS = {**LONE_FORMS, QUERY_IN_BULK: _BULK_FORM}
"""By full method name: every method that takes a record query."""
