"""Section 3, header: members, names, times, and the order of the checks."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from gateway.conformance import answer_checks as checks
from gateway.conformance.case import Case, echo, query, set_header
from gateway.conformance.draft import ECHO, QUERY_RECORDS, VERIFY_CERTIFICATE, Draft
from gateway.conformance.expectation import Expectation, answered, refused
from gateway.conformance.session import Session

SECTION = "3 Header"

MALFORMED = refused("MALFORMED_MESSAGE")
TIMES = ("skewSeconds", "toleratedSeconds", "serverTime")
PAIR_SEQUENCE_MAX = 2**53 - 1


def _timed(id_: str, sent: str, must: Expectation, issued_s: float, expires_s: float) -> Case:
    """Return a case whose times lie so many seconds from now."""

    def change(draft: Draft, session: Session) -> None:
        draft.set_times(session.clock(), issued_s, expires_s)

    return echo(id_, SECTION, sent, must, change)


def _missing(member: str, must: Expectation = MALFORMED) -> Case:
    return query(
        f"header-{member.replace('_', '-')}-missing",
        SECTION,
        f"a header without {member}",
        must,
        set_header(**{member: None}),
    )


def _sized(member: str, length: int) -> Case:
    return query(
        f"header-{member.replace('_', '-')}-{length}-bytes",
        SECTION,
        f"a {member} of {length} bytes",
        MALFORMED,
        set_header(**{member: secrets.token_bytes(length)}),
    )


def _nanos(draft: Draft) -> None:
    draft.header.issue_time.nanos = 2_000_000_000


def _as_answerer(draft: Draft) -> None:
    draft.header.sender = draft.header.audience


def _to_certificates(draft: Draft) -> None:
    draft.called = VERIFY_CERTIFICATE


def _both(*changes: Callable[[Draft], None]) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        for one in changes:
            one(draft)

    return change


OTHER_AUDIENCE = set_header(audience="somebody-else")
VERSION_2 = set_header(protocol_version=2)

CASES = (
    _missing("protocol_version"),
    _missing("message_id"),
    _missing("exchange_id"),
    _missing("pair_sequence"),
    _missing("sender"),
    _missing("audience", refused("MALFORMED_MESSAGE", "WRONG_AUDIENCE")),
    _missing("method", refused("MALFORMED_MESSAGE", "WRONG_METHOD")),
    _missing("issue_time"),
    _missing("expire_time"),
    _sized("message_id", 15),
    _sized("exchange_id", 17),
    query(
        "header-pair-sequence-too-large",
        SECTION,
        "a pair_sequence of 2^53",
        MALFORMED,
        set_header(pair_sequence=PAIR_SEQUENCE_MAX + 1),
    ),
    query("header-nanos-out-of-range", SECTION, "an issue_time of 2,000,000,000 ns", MALFORMED, _nanos),
    query(
        "header-version-unknown",
        SECTION,
        "protocol version 2",
        refused("UNSUPPORTED_VERSION", metadata=["version", "oldestAccepted", "newestAccepted"]),
        VERSION_2,
    ),
    query(
        "header-version-refused-readably",
        SECTION,
        "protocol version 2",
        refused("UNSUPPORTED_VERSION", checks=[checks.is_bound]),
        VERSION_2,
    ),
    query(
        "header-audience-other",
        SECTION,
        "a query for another node",
        refused("WRONG_AUDIENCE", metadata=["audience"]),
        OTHER_AUDIENCE,
    ),
    query(
        "header-method-of-echo",
        SECTION,
        "a query signed for Echo, sent to QueryRecords",
        refused("WRONG_METHOD", metadata=["method"]),
        set_header(method=ECHO),
    ),
    query(
        "header-method-called-other",
        SECTION,
        "a query signed for QueryRecords, sent to VerifyCertificate",
        refused("WRONG_METHOD", metadata=["method"]),
        _to_certificates,
    ),
    query(
        "header-method-short",
        SECTION,
        "a method without its service",
        refused("WRONG_METHOD", metadata=["method"]),
        set_header(method=QUERY_RECORDS.rsplit("/", 1)[1]),
    ),
    query(
        "header-sender-other",
        SECTION,
        "a query in another node's name",
        refused("PEER_IDENTITY_MISMATCH"),
        set_header(sender="somebody-else"),
    ),
    query(
        "header-sender-is-answerer",
        SECTION,
        "a query in the answerer's own name",
        refused("PEER_IDENTITY_MISMATCH"),
        _as_answerer,
    ),
    _timed("header-window-longest", "a window of 120 s", answered(), 0, 120),
    _timed("header-window-too-long", "a window of 121 s", refused("WINDOW_TOO_LONG"), 0, 121),
    _timed("header-window-zero", "a window of 0 s", refused("WINDOW_TOO_LONG"), 0, 0),
    _timed("header-window-negative", "expiry before issue", refused("WINDOW_TOO_LONG"), 20, 10),
    _timed("header-issued-ahead-tolerated", "issued 20 s ahead", answered(), 20, 80),
    _timed("header-issued-in-future", "issued 60 s ahead", refused("CLOCK_SKEW", metadata=TIMES), 60, 120),
    _timed("header-expired-tolerated", "expired 20 s ago", answered(), -80, -20),
    _timed("header-expired", "expired 60 s ago", refused("MESSAGE_EXPIRED", metadata=TIMES), -120, -60),
    query(
        "header-order-version-first",
        SECTION,
        "protocol version 2 for another node",
        refused("UNSUPPORTED_VERSION"),
        _both(VERSION_2, OTHER_AUDIENCE),
    ),
    query(
        "header-order-audience-second",
        SECTION,
        "a query for another node and another method",
        refused("WRONG_AUDIENCE"),
        _both(OTHER_AUDIENCE, set_header(method=ECHO)),
    ),
)
