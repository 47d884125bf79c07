"""Section 5, VerifyCertificate."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from creditexchange.v1.exchange_pb2 import CertificateReference
from gateway.conformance import answer_checks as checks
from gateway.conformance.case import Case, Need, a_grant
from gateway.conformance.draft import UNKNOWN_FIELD, VERIFY_CERTIFICATE, Draft
from gateway.conformance.expectation import Check, Expectation, Reply, answered, refused
from gateway.conformance.session import Session, body_of

SECTION = "5 VerifyCertificate"
INVENTED = CertificateReference(number="9900019999000001", issuer="no such issuer").SerializeToString()


def _case(
    id_: str,
    sent: str,
    must: Expectation,
    change: Callable[[Draft], None] = lambda _draft: None,
    *,
    reference: bytes = INVENTED,
    needs: tuple[Need, ...] = (),
) -> Case:
    def run(session: Session) -> Sequence[Reply]:
        draft = session.certificate_query(reference)
        change(draft)
        return [session.send(draft)]

    return Case(id_, SECTION, sent, must, run, needs)


def _answer(id_: str, must: str, check: Check) -> Case:
    return _case(id_, "a query about an invented certificate", answered(check, text=must), needs=(a_grant,))


def _drop_opening(draft: Draft) -> None:
    del draft.openings[-1]


def _other_reference(draft: Draft) -> None:
    draft.openings[-1].item = CertificateReference(number="1", issuer="1").SerializeToString()


def _other_commitment(draft: Draft) -> None:
    body_of(draft).certificate_commitment = secrets.token_bytes(32)


def _reversed(draft: Draft) -> None:
    draft.openings.reverse()


def _plain_query(session: Session) -> Sequence[Reply]:
    return [session.send(session.query(VERIFY_CERTIFICATE))]


MISMATCH = refused("COMMITMENT_MISMATCH")

CASES = (
    _case("certificate-opening-missing", "no opening of the certificate", MISMATCH, _drop_opening),
    _case("certificate-other", "another certificate than was committed to", MISMATCH, _other_reference),
    _case(
        "certificate-commitment-other", "a commitment that no opening leads to", MISMATCH, _other_commitment
    ),
    _case("certificate-openings-reversed", "the openings in another order", MISMATCH, _reversed),
    Case(
        "certificate-not-asked-for",
        SECTION,
        "a body without certificate_commitment",
        refused("COMMITMENT_MISMATCH", "MALFORMED_MESSAGE"),
        _plain_query,
    ),
    _case(
        "certificate-number-missing",
        "a reference without number",
        refused("MALFORMED_MESSAGE"),
        reference=CertificateReference(issuer="no such issuer").SerializeToString(),
    ),
    _case(
        "certificate-field-in-reference",
        "an unknown field in the reference",
        refused("MALFORMED_MESSAGE"),
        reference=INVENTED + UNKNOWN_FIELD,
    ),
    _answer("certificate-unknown", "an answer: not known, without state", checks.is_unknown_certificate),
    _answer("certificate-signed", "a signature by the card's message key", checks.is_signed),
    _answer("certificate-bound", "an answer bound to the request", checks.is_bound),
    _answer("certificate-to-this-query", "query_body_digest of this query", checks.answers_the_query),
    _answer("certificate-receipt-entry", "the rebuilt entry in the log", checks.is_logged),
)
