"""Section 8, echo."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from creditexchange.v1.exchange_pb2 import EchoAnswer
from gateway.conformance import answer_checks as checks
from gateway.conformance.case import Case, echo
from gateway.conformance.draft import Draft
from gateway.conformance.expectation import Check, DepartureError, Reply, answered, refused
from gateway.conformance.session import Session

SECTION = "8 Echo"
CONTENT = b"conformance"


def _gives_back(length: int | None) -> Check:
    expected = CONTENT if length is None else bytes(length)

    def check(reply: Reply) -> None:
        if checks.payload_of(reply, EchoAnswer).content != expected:
            raise DepartureError("the content is not what was sent")

    return check


def _knows_the_time(reply: Reply) -> None:
    received = checks.payload_of(reply, EchoAnswer).receive_time.ToDatetime(UTC)
    if abs((received - reply.at).total_seconds()) > checks.SKEW_S:
        raise DepartureError("receive_time is more than 30 s off")


def _serial(session: Session) -> Sequence[Reply]:
    reply = session.send(session.echo())
    stated = checks.payload_of(reply, EchoAnswer).accepted_card_serial
    if stated != session.identity.card.serial:
        raise DepartureError(f"the serial is {stated}, the card's is {session.identity.card.serial}")
    return [reply]


def _twice(session: Session) -> Sequence[Reply]:
    first = session.send(session.echo())
    return [first, session.resend(first)]


def _sized(id_: str, length: int) -> Case:
    def change(draft: Draft, _session: Session) -> None:
        draft.content = bytes(length)

    sent = f"a content of {length:,} bytes"
    must = answered(_gives_back(length)) if length <= 1024 else refused("MALFORMED_MESSAGE")
    return echo(id_, SECTION, sent, must, change)


def _answer(id_: str, must: str, check: Check) -> Case:
    return echo(id_, SECTION, "an echo", answered(check, text=must))


CASES = (
    _answer("echo-content", "the content unchanged", _gives_back(None)),
    _answer("echo-signed", "a signature by the card's message key", checks.is_signed),
    _answer("echo-bound", "an answer bound to the request", checks.is_bound),
    _answer("echo-timely", "times as for a request", checks.is_timely),
    _answer("echo-receive-time", "receive_time is now", _knows_the_time),
    Case("echo-card-serial", SECTION, "an echo", answered(text="the accepted card's serial"), _serial),
    _sized("echo-content-empty", 0),
    _sized("echo-content-longest", 1024),
    _sized("echo-content-too-long", 1025),
    Case("echo-twice", SECTION, "the same echo twice", answered(text="two answers"), _twice),
)
