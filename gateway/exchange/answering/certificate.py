"""Whether one certificate is valid: the least that can be answered about a record."""

from __future__ import annotations

from datetime import date
from hashlib import sha256

from creditexchange.v1.exchange_pb2 import CertificateAnswerBody, CertificateReference
from creditexchange.v1.record_pb2 import (
    RECORD_STATE_EXPIRED,
    RECORD_STATE_VALID,
    LearningRecord,
    PartialDate,
    RecordState,
)
from gateway.exchange.messages import Translated


def certificate_answer(translated: Translated) -> CertificateAnswerBody:
    """Return whether the certificate that was asked for is known, and its state today.

    A certificate is meant by its number and one of its issuer's identifiers or names, verbatim, and
    must be the learner's whom the query is about. Whatever does not fit is simply not known.
    """
    authorised = translated.found.authorised
    reference, opened = authorised.certificate, authorised.admitted.opened
    assert reference is not None
    body = CertificateAnswerBody(query_body_digest=sha256(opened.payload.body).digest())
    for records in translated.records:
        for serialised in records:
            record = LearningRecord.FromString(serialised)
            if is_meant(record, reference):
                body.is_known = True
                body.state = _state_on(record, opened.call.received_at.date())
                return body
    return body


def is_meant(record: LearningRecord, reference: CertificateReference) -> bool:
    """Whether ``reference`` names the certificate of ``record``: its number and one of its issuer's names."""
    if record.certificate.number != reference.number:
        return False
    issuers = {i.value for issuer in record.issuers for i in issuer.identifiers}
    issuers |= {name.text for issuer in record.issuers for name in issuer.names}
    return reference.issuer in issuers


def _state_on(record: LearningRecord, today: date) -> RecordState.ValueType:
    """Return the record's state; one that is valid has expired from its last day on."""
    state, certificate = record.status.state, record.certificate
    has_expired = certificate.HasField("expire_date") and _is_past(certificate.expire_date, today)
    return RECORD_STATE_EXPIRED if state == RECORD_STATE_VALID and has_expired else state


def _is_past(expiry: PartialDate, today: date) -> bool:
    """Whether the day from which a certificate is no longer valid has come; an unstated part is its last."""
    return (expiry.year, expiry.month or 12, expiry.day or 31) <= (today.year, today.month, today.day)
