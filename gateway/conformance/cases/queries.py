"""Section 5, QueryRecords: what may be asked, and what the answer must be."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from creditexchange.v1.exchange_pb2 import LEGAL_BASIS_CONSENT
from creditexchange.v1.record_pb2 import RECORD_KIND_COURSE
from gateway.conformance import answer_checks as checks
from gateway.conformance.case import (
    Case,
    a_consent_grant,
    a_grant,
    an_ungranted_kind,
    an_ungranted_purpose,
    query,
    set_body,
)
from gateway.conformance.draft import Draft
from gateway.conformance.expectation import Check, Reply, answered, refused
from gateway.conformance.session import Session, body_of, opening
from gateway.conformance.wire import commitment

SECTION = "5 QueryRecords"
RECEIPT = "5 Receipt"

MALFORMED = refused("MALFORMED_MESSAGE")
NOT_LISTED = 99


def _ungranted_purpose(session: Session) -> Sequence[Reply]:
    draft = session.query()
    set_body(purpose=session.ungranted_purpose())(draft)
    return [session.send(draft)]


def _asking(session: Session, pair: tuple[int, int] | None) -> Sequence[Reply]:
    assert pair is not None
    draft = session.query()
    set_body(purpose=pair[0], kinds=[pair[1]])(draft)
    return [session.send(draft)]


def _with_consent(draft: Draft) -> None:
    consent = opening("consent", b"a consent that nobody issued")
    draft.openings.append(consent)
    body_of(draft).consent_commitment = commitment(consent)


def _answer(id_: str, must: str, *ones: Check, section: str = SECTION) -> Case:
    return query(
        id_, section, "a query about an invented learner", answered(*ones, text=must), needs=(a_grant,)
    )


CASES = (
    query("query-purpose-missing", SECTION, "no purpose", refused("UNKNOWN_PURPOSE"), set_body(purpose=0)),
    query(
        "query-purpose-unknown",
        SECTION,
        "a purpose that is not listed",
        refused("UNKNOWN_PURPOSE"),
        set_body(purpose=NOT_LISTED),
    ),
    query("query-kinds-missing", SECTION, "no kind", MALFORMED, set_body(kinds=[])),
    query(
        "query-kind-repeated",
        SECTION,
        "a kind twice",
        MALFORMED,
        set_body(kinds=[RECORD_KIND_COURSE, RECORD_KIND_COURSE]),
    ),
    query(
        "query-kind-unknown",
        SECTION,
        "a kind that is not listed",
        refused("UNKNOWN_KIND"),
        set_body(kinds=[RECORD_KIND_COURSE, NOT_LISTED]),
    ),
    query("query-kind-unspecified", SECTION, "the kind 0", refused("UNKNOWN_KIND"), set_body(kinds=[0])),
    query("query-basis-missing", SECTION, "no legal basis", MALFORMED, set_body(legal_basis=0)),
    query(
        "query-basis-unknown",
        SECTION,
        "a legal basis that is not listed",
        MALFORMED,
        set_body(legal_basis=NOT_LISTED),
    ),
    query("query-subjects-none", SECTION, "a subject_count of 0", MALFORMED, set_body(subject_count=0)),
    query(
        "query-subjects-two",
        SECTION,
        "a subject_count of 2",
        refused("TOO_MANY_SUBJECTS", metadata=["subjectsMax"]),
        set_body(subject_count=2),
    ),
    query(
        "query-epoch-missing",
        SECTION,
        "no epoch",
        refused("UNKNOWN_EPOCH", metadata=["epoch"]),
        set_body(federation_epoch=""),
    ),
    query(
        "query-epoch-unknown",
        SECTION,
        "an epoch that is not live",
        refused("UNKNOWN_EPOCH", metadata=["epoch"]),
        set_body(federation_epoch="no-such-epoch"),
    ),
    query(
        "query-certificate-commitment",
        "5 VerifyCertificate",
        "a commitment to a certificate, sent to QueryRecords",
        MALFORMED,
        set_body(certificate_commitment=secrets.token_bytes(32)),
    ),
    Case(
        "query-purpose-not-granted",
        SECTION,
        "a purpose that is not granted",
        refused("PURPOSE_NOT_GRANTED", metadata=["purpose"]),
        _ungranted_purpose,
        (an_ungranted_purpose,),
    ),
    Case(
        "query-kind-not-granted",
        SECTION,
        "a kind that is not granted",
        refused("KIND_NOT_GRANTED", metadata=["kind"]),
        lambda session: _asking(session, session.ungranted_kind()),
        (an_ungranted_kind,),
    ),
    Case(
        "query-consent-required-by-grant",
        SECTION,
        "no consent where the grant needs one",
        refused("CONSENT_REQUIRED"),
        lambda session: _asking(session, session.consent_only()),
        (a_consent_grant,),
    ),
    query(
        "query-consent-required-by-basis",
        SECTION,
        "the legal basis consent, without one",
        refused("CONSENT_REQUIRED"),
        set_body(legal_basis=LEGAL_BASIS_CONSENT),
        needs=(a_grant,),
    ),
    query(
        "query-consent-invalid",
        SECTION,
        "a consent that nobody issued",
        refused("CONSENT_INVALID"),
        _with_consent,
        needs=(a_grant,),
    ),
    _answer("answer-given", "an answer with count 0", checks.is_nobody),
    _answer("answer-signed", "a signature by the card's message key", checks.is_signed, section="2 Envelope"),
    _answer("answer-bound", "an answer bound to the request", checks.is_bound, section="3 Header"),
    _answer("answer-timely", "times as for a request", checks.is_timely, section="3 Header"),
    _answer("answer-to-this-query", "query_body_digest of this query", checks.answers_the_query),
    _answer("answer-whole", "openings that lead to records_root", checks.records_are_whole),
    _answer(
        "answer-receipt-log", "a receipt of the card's log", checks.receipt_names_the_log, section=RECEIPT
    ),
    _answer(
        "answer-receipt-checkpoint",
        "a checkpoint by the log's key",
        checks.checkpoint_is_signed,
        section=RECEIPT,
    ),
    _answer("answer-receipt-entry", "the rebuilt entry in the log", checks.is_logged, section=RECEIPT),
)
