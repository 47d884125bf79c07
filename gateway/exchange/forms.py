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
    QueryRecordsRequest,
    QueryRecordsResponse,
    RecordAnswer,
    RecordAnswerBody,
    RecordAnswerChunk,
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

Answer = RecordAnswer | CertificateAnswer | LocationAnswer
"""A signed answer: header, body and receipt."""


@dataclass(frozen=True, slots=True)
class QueryForm:
    """The messages of one method. Every request holds a signed ``RecordQuery`` and its openings."""

    method: str
    request: type[QueryRecordsRequest | VerifyCertificateRequest | LocateRecordsRequest]
    response: type[QueryRecordsResponse | VerifyCertificateResponse | LocateRecordsResponse]
    answer_type: str
    """Payload type of the answer."""
    answer: type[Answer]
    """The signed payload."""
    body: type[RecordAnswerBody | CertificateAnswerBody | LocationAnswerBody]


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

QUERY_FORMS = {form.method: form for form in _FORMS}
"""By full method name."""

ANSWERS: dict[str, tuple[str, type[Answer | RecordAnswerChunk]]] = {
    **{form.method: (form.answer_type, form.answer) for form in _FORMS},
    QUERY_IN_BULK: (RECORD_ANSWER_CHUNK_TYPE, RecordAnswerChunk),
}
"""Payload type and message of a positive answer, by every method that answers with records or about them."""
