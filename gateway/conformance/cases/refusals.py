"""Section 6, refusals: which are signed, and how they are bound and proved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.conformance import answer_checks as checks
from gateway.conformance.case import Case, echo, query, set_body, set_header, tampered
from gateway.conformance.draft import QUERY_RECORDS, Draft
from gateway.conformance.expectation import (
    Check,
    DepartureError,
    Expectation,
    Reply,
    refused,
    require_refusal,
)
from gateway.conformance.session import Session

SECTION = "6 Refusals"


def _signed(id_: str, must: str, check: Check) -> Case:
    """Return a case about the signed refusal of a query with an epoch that is not live."""

    def judge(replies: Sequence[Reply]) -> None:
        require_refusal(replies[-1], "UNKNOWN_EPOCH")
        check(replies[-1])

    change = set_body(federation_epoch="no-such-epoch")
    return query(id_, SECTION, "an epoch that is not live", Expectation(must, judge), change)


def _states(key: str, value: str) -> Check:
    def check(reply: Reply) -> None:
        expected = reply.card.node_id if value == "answerer" else value
        if reply.raw.metadata.get(key) != expected:
            raise DepartureError(f"{key} is not {expected}")

    return check


def _live_epochs(session: Session) -> Sequence[Reply]:
    draft = session.query()
    set_body(federation_epoch="no-such-epoch")(draft)
    reply = session.send(draft)
    if reply.raw.metadata.get("epoch") != ", ".join(session.epochs):
        raise DepartureError("epoch is not what the echo states, joined by comma and space")
    return [reply]


def _states_the_time(reply: Reply) -> None:
    """``…Seconds`` are whole numbers, ``serverTime`` is RFC 3339 and now."""
    stated = reply.raw.metadata
    if not (stated.get("skewSeconds", "").isdigit() and stated.get("toleratedSeconds", "").isdigit()):
        raise DepartureError("skewSeconds or toleratedSeconds is no whole number")
    try:
        server_time = datetime.fromisoformat(stated.get("serverTime", ""))
        off_s = abs((server_time - reply.at).total_seconds())
    except (ValueError, TypeError) as error:
        raise DepartureError("serverTime is not RFC 3339 with an offset") from error
    if off_s > checks.SKEW_S:
        raise DepartureError(f"serverTime is {off_s:.0f} s off")


def _long_ago(draft: Draft, session: Session) -> None:
    draft.set_times(session.clock(), -120, -60)


def _empty_signature(message: SignedMessage) -> None:
    message.signatures[0].signature = bytes(64)


def _not_signed(*reasons: str) -> Expectation:
    expectation = refused(*reasons, checks=[checks.is_not_signed])
    return Expectation(f"{expectation.text}, not signed", expectation.check)


CASES = (
    _signed("refusal-signed", "a refusal signed by the card's message key", checks.is_signed),
    _signed("refusal-bound", "a refusal bound to the request", checks.is_bound),
    _signed("refusal-timely", "times as for a request", checks.is_timely),
    _signed("refusal-states-reason", "the signed reason equals that of the status", checks.states_its_reason),
    _signed("refusal-receipt-log", "a receipt of the card's log", checks.receipt_names_the_log),
    _signed("refusal-receipt-checkpoint", "a checkpoint by the log's key", checks.checkpoint_is_signed),
    _signed("refusal-receipt-entry", "the rebuilt entry in the log", checks.is_logged),
    query(
        "refusal-states-audience",
        SECTION,
        "a query for another node",
        refused("WRONG_AUDIENCE", checks=[_states("audience", "answerer")]),
        set_header(audience="somebody-else"),
    ),
    query(
        "refusal-states-method",
        SECTION,
        "a query signed for another method",
        refused("WRONG_METHOD", checks=[_states("method", QUERY_RECORDS)]),
        set_header(method="/no/Method"),
    ),
    Case(
        "refusal-states-epochs", SECTION, "an epoch that is not live", refused("UNKNOWN_EPOCH"), _live_epochs
    ),
    echo(
        "refusal-states-time",
        SECTION,
        "an echo that expired 60 s ago",
        refused("MESSAGE_EXPIRED", checks=[_states_the_time]),
        _long_ago,
    ),
    tampered(
        "refusal-unsigned-signature",
        SECTION,
        "a signature that does not verify",
        _not_signed("INVALID_SIGNATURE"),
        lambda _session: _empty_signature,
    ),
    query(
        "refusal-unsigned-mismatch",
        SECTION,
        "a query in another node's name",
        _not_signed("PEER_IDENTITY_MISMATCH"),
        set_header(sender="somebody-else"),
    ),
    query(
        "refusal-unsigned-header",
        SECTION,
        "a header without message_id",
        _not_signed("MALFORMED_MESSAGE"),
        set_header(message_id=None),
    ),
    echo(
        "refusal-unsigned-echo",
        SECTION,
        "an echo for another node",
        _not_signed("WRONG_AUDIENCE"),
        lambda draft, _session: set_header(audience="somebody-else")(draft),
    ),
)
