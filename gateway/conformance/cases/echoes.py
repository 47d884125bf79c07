"""Section 8, echo."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from creditexchange.v1.exchange_pb2 import EchoAnswer, EchoQuery
from gateway.conformance import answer_checks as checks
from gateway.conformance.case import Case, echo
from gateway.conformance.draft import Draft
from gateway.conformance.expectation import Check, DepartureError, Reply, answered, refused
from gateway.conformance.session import Session

SECTION = "8 Echo"
CONTENT = b"conformance"
PADDING_BYTES = 200 * 1024
EPOCH_CHECK_BYTES = 32


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


def _states_its_limit(reply: Reply) -> None:
    if not checks.payload_of(reply, EchoAnswer).message_bytes_max:
        raise DepartureError("message_bytes_max is not stated")


def _states_its_card(reply: Reply) -> None:
    stated, known = checks.payload_of(reply, EchoAnswer).card_serial, reply.card.serial
    if stated < known:
        raise DepartureError(f"card_serial is {stated}, below that of the card, {known}")


def _checks_every_epoch(reply: Reply) -> None:
    answer = checks.payload_of(reply, EchoAnswer)
    if [one.epoch for one in answer.epoch_checks] != list(answer.federation_epochs):
        raise DepartureError("epoch_checks are not of the epochs in federation_epochs, in their order")
    if any(len(one.check) != EPOCH_CHECK_BYTES for one in answer.epoch_checks):
        raise DepartureError("an epoch check is not 32 bytes long")


def _epoch_checks_twice(session: Session) -> Sequence[Reply]:
    replies = [session.send(session.echo(content)) for content in (CONTENT, CONTENT, CONTENT + b".")]
    first, same, other = ([o.check for o in checks.payload_of(r, EchoAnswer).epoch_checks] for r in replies)
    if first != same:
        raise DepartureError("the same content gives other checks")
    if set(first) & set(other):
        raise DepartureError("another content gives the same check")
    return replies


def _fill(draft: Draft, _session: Session) -> None:
    draft.after_payload = EchoQuery(padding=bytes(PADDING_BYTES)).SerializeToString()


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
    echo("echo-padding", SECTION, "an echo with 200 KiB of padding", answered(_gives_back(None)), _fill),
    _answer("echo-message-limit", "its largest message", _states_its_limit),
    _answer("echo-own-card", "the serial of its newest card", _states_its_card),
    _answer("echo-epoch-checks", "a check of each live epoch", _checks_every_epoch),
    Case(
        "echo-epoch-checks-fresh",
        SECTION,
        "echoes with the same content and with another one",
        answered(text="checks that follow the content"),
        _epoch_checks_twice,
    ),
    Case("echo-twice", SECTION, "the same echo twice", answered(text="two answers"), _twice),
)
