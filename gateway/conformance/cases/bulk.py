"""Section 5, QueryRecordsInBulk: many learners, and the chunks that answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from gateway.conformance import answer_checks as checks
from gateway.conformance.case import Case, a_grant, an_ungranted_purpose, query, set_body, set_header
from gateway.conformance.draft import QUERY_RECORDS, WINDOW_S, Draft
from gateway.conformance.expectation import Check, Expectation, Reply, refused, require_answer
from gateway.conformance.session import Session, body_of, opening
from gateway.conformance.wire import commitments_root

SECTION = "5 QueryRecordsInBulk"
SUBJECTS_MAX = 1_000

MALFORMED = refused("MALFORMED_MESSAGE")
MISMATCH = refused("COMMITMENT_MISMATCH")


def _bulk(
    id_: str,
    sent: str,
    must: Expectation,
    change: Callable[[Draft], None] = lambda _draft: None,
    *,
    count: int = 2,
) -> Case:
    """Return a case that sends one query in bulk, correct but for ``change``."""

    def run(session: Session) -> Sequence[Reply]:
        draft = session.bulk_query(count)
        change(draft)
        return session.send_bulk(draft)

    return Case(id_, SECTION, sent, must, run)


def _each(text: str, check: Check) -> Expectation:
    """Every chunk passes ``check``."""

    def check_all(replies: Sequence[Reply]) -> None:
        for reply in replies:
            require_answer(reply)
            check(reply)

    return Expectation(text, check_all)


def _whole(count: int) -> Expectation:
    def check(replies: Sequence[Reply]) -> None:
        for reply in replies:
            require_answer(reply)
        checks.is_whole_in_bulk(replies, count)

    return Expectation("numbered, chained chunks that end, with every subject once", check)


def _answer(id_: str, must: Expectation, *, count: int = 2) -> Case:
    run = lambda session: session.send_bulk(session.bulk_query(count))  # noqa: E731
    return Case(id_, SECTION, f"a query in bulk about {count} learners", must, run, (a_grant,))


def _again(session: Session, *, is_new: bool) -> Sequence[Reply]:
    """Send a query, and then the same message, or another one of the same exchange."""
    draft = session.bulk_query()
    first = session.send_bulk(draft)
    second = draft
    if is_new:
        second = draft.retry(session.next_sequence())
        second.set_times(session.clock(), 0, WINDOW_S)
    return [*first, *session.send_bulk(second)]


def _ungranted(session: Session) -> Sequence[Reply]:
    draft = session.bulk_query()
    set_body(purpose=session.ungranted_purpose())(draft)
    return session.send_bulk(draft)


def _drop(draft: Draft) -> None:
    draft.openings.pop()


def _reverse(draft: Draft) -> None:
    draft.openings.reverse()


def _twice(draft: Draft) -> None:
    token = draft.openings[0].item
    draft.openings = [opening("subject-token", token), opening("subject-token", token)]
    body_of(draft).subjects_root = commitments_root(draft.openings)


def _consents_of(*places: int) -> Callable[[Draft], None]:
    """Show consents that nobody issued, of these places."""

    def change(draft: Draft) -> None:
        consents = [opening("consent", b"a consent that nobody issued") for _ in places]
        draft.openings += consents
        body_of(draft).consents_root = commitments_root(consents)
        body_of(draft).consent_subjects.extend(places)

    return change


CASES = (
    _answer("bulk-whole", _whole(2)),
    _answer("bulk-whole-1000", _whole(SUBJECTS_MAX), count=SUBJECTS_MAX),
    _answer("bulk-signed", _each("a signature by the card's message key", checks.is_signed)),
    _answer("bulk-bound", _each("chunks bound to the request", checks.is_bound)),
    _answer("bulk-timely", _each("times as for a request", checks.is_timely)),
    _answer("bulk-to-this-query", _each("query_body_digest of this query", checks.answers_the_query)),
    _answer("bulk-receipt", _each("the rebuilt entry, with its chunk, in the log", checks.is_logged)),
    _bulk(
        "bulk-too-many",
        "1,001 learners",
        refused("TOO_MANY_SUBJECTS", metadata=["subjectsMax"]),
        count=SUBJECTS_MAX + 1,
    ),
    _bulk("bulk-nobody", "no learner", MALFORMED, set_body(subject_count=0)),
    _bulk("bulk-subject-twice", "one learner twice", MALFORMED, _twice),
    _bulk("bulk-opening-missing", "a subject without opening", MISMATCH, _drop),
    _bulk("bulk-openings-swapped", "openings in another order than the tree's", MISMATCH, _reverse),
    _bulk(
        "bulk-root-wrong",
        "a root that the openings do not lead to",
        MISMATCH,
        set_body(subjects_root=secrets.token_bytes(32)),
    ),
    _bulk(
        "bulk-single-consent",
        "a consent_commitment",
        MALFORMED,
        set_body(consent_commitment=secrets.token_bytes(32)),
    ),
    _bulk("bulk-consents-fall", "consents whose places do not rise", MALFORMED, _consents_of(1, 0)),
    _bulk("bulk-consent-of-nobody", "a consent of a place beyond the last", MALFORMED, _consents_of(2)),
    _bulk(
        "bulk-consents-missing",
        "a root over consents that are not there",
        MISMATCH,
        set_body(consents_root=secrets.token_bytes(32)),
    ),
    _bulk(
        "bulk-wrong-method",
        "a message signed for QueryRecords",
        refused("WRONG_METHOD", metadata=["method"]),
        set_header(method=QUERY_RECORDS),
    ),
    Case(
        "bulk-purpose-not-granted",
        SECTION,
        "a purpose that is not granted",
        refused("PURPOSE_NOT_GRANTED", metadata=["purpose"], checks=[checks.is_signed, checks.is_logged]),
        _ungranted,
        (an_ungranted_purpose,),
    ),
    Case(
        "bulk-replayed",
        SECTION,
        "the same message again",
        refused("REPLAYED_MESSAGE"),
        lambda session: _again(session, is_new=False),
        (a_grant,),
    ),
    Case(
        "bulk-exchange-again",
        SECTION,
        "another message of an exchange that was answered",
        refused("EXCHANGE_CONFLICT"),
        lambda session: _again(session, is_new=True),
        (a_grant,),
    ),
    query(
        "query-consents-root",
        "5 QueryRecords",
        "a root over several consents, sent to QueryRecords",
        MALFORMED,
        set_body(consents_root=secrets.token_bytes(32)),
    ),
)
