"""The methods that take a record query, and of which messages each one's exchange is made."""

from __future__ import annotations

from dataclasses import dataclass

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
    VerifyCertificateRequest,
    VerifyCertificateResponse,
)
from gateway.exchange.messages import (
    CERTIFICATE_ANSWER_TYPE,
    LOCATE_RECORDS,
    LOCATION_ANSWER_TYPE,
    QUERY_RECORDS,
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

QUERY_FORMS = {form.method: form for form in _FORMS}
"""By full method name."""
