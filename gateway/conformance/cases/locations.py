"""Section 5, LocateRecords."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from gateway.conformance import answer_checks as checks
from gateway.conformance.case import Case, Need, a_grant, set_body
from gateway.conformance.draft import LOCATE_RECORDS, Draft
from gateway.conformance.expectation import Check, Expectation, Reply, answered, refused
from gateway.conformance.session import Session

SECTION = "5 LocateRecords"


def _case(
    id_: str,
    sent: str,
    must: Expectation,
    change: Callable[[Draft], None] = lambda _draft: None,
    *,
    needs: tuple[Need, ...] = (),
) -> Case:
    def run(session: Session) -> Sequence[Reply]:
        draft = session.query(LOCATE_RECORDS)
        change(draft)
        return [session.send(draft)]

    return Case(id_, SECTION, sent, must, run, needs)


def _answer(id_: str, must: str, check: Check) -> Case:
    return _case(id_, "where an invented learner has records", answered(check, text=must), needs=(a_grant,))


def _drop_opening(draft: Draft) -> None:
    del draft.openings[-1]


CASES = (
    _case("location-opening-missing", "no opening", refused("COMMITMENT_MISMATCH"), _drop_opening),
    _case(
        "location-certificate-commitment",
        "a commitment to a certificate",
        refused("MALFORMED_MESSAGE"),
        set_body(certificate_commitment=secrets.token_bytes(32)),
    ),
    _answer("location-nothing", "an answer: nothing is held", checks.holds_nothing),
    _answer("location-signed", "a signature by the card's message key", checks.is_signed),
    _answer("location-bound", "an answer bound to the request", checks.is_bound),
    _answer("location-to-this-query", "query_body_digest of this query", checks.answers_the_query),
    _answer("location-receipt-entry", "the rebuilt entry in the log", checks.is_logged),
)
