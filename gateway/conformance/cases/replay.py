"""Section 3, header: replays, retries and exchange ids."""

from __future__ import annotations

from collections.abc import Sequence

from creditexchange.v1.exchange_pb2 import QueryRecordsResponse, RecordAnswer
from gateway.conformance.answer_checks import payload_of, response_of
from gateway.conformance.case import Case, a_grant
from gateway.conformance.draft import Draft
from gateway.conformance.expectation import (
    DepartureError,
    Expectation,
    Reply,
    answered,
    refused,
    require_answer,
    require_refusal,
)
from gateway.conformance.session import Session, body_of

SECTION = "3 Header"
RACING = 4


def _replay(session: Session) -> Sequence[Reply]:
    first = session.send(session.query())
    return [first, session.resend(first)]


def _resigned(session: Session) -> Sequence[Reply]:
    """The same message id in a message that is signed anew, with other times and another exchange id."""
    first = session.query()
    second = session.query()
    second.header.message_id = first.header.message_id
    return [session.send(first), session.send(second)]


def _retry(session: Session) -> Sequence[Reply]:
    first = session.query()
    return [session.send(first), session.send(first.retry(session.next_sequence()))]


def _retry_after_refusal(session: Session) -> Sequence[Reply]:
    first = session.query()
    right = body_of(first).federation_epoch
    body_of(first).federation_epoch = "no-such-epoch"
    refused_first = session.send(first)
    second = first.retry(session.next_sequence())
    body_of(second).federation_epoch = right
    return [refused_first, session.send(second)]


def _conflict(session: Session) -> Sequence[Reply]:
    first = session.query()
    other: Draft = session.query()  # another subject token's commitment, so another body
    other.header.exchange_id = first.header.exchange_id
    return [session.send(first), session.send(other)]


def _only_one(replies: Sequence[Reply]) -> None:
    accepted = [reply for reply in replies if reply.raw.code == "OK"]
    if len(accepted) != 1:
        raise DepartureError(f"{len(accepted)} of {len(replies)} were answered")
    for reply in replies:
        if reply is not accepted[0]:
            require_refusal(reply, "REPLAYED_MESSAGE")


def _same_answer(replies: Sequence[Reply]) -> None:
    for reply in replies:
        require_answer(reply)
    first, second = (payload_of(reply, RecordAnswer) for reply in replies)
    if first.body != second.body:
        raise DepartureError("the retry got another answer body")
    before, after = (response_of(reply, QueryRecordsResponse).openings for reply in replies)
    if list(before) != list(after):
        raise DepartureError("the retry got other openings")


def _own_receipt(replies: Sequence[Reply]) -> None:
    for reply in replies:
        require_answer(reply)
    first, second = (payload_of(reply, RecordAnswer) for reply in replies)
    if first.receipt.leaf_index == second.receipt.leaf_index:
        raise DepartureError("the retry got the receipt of the first answer")
    if first.header.message_id == second.header.message_id:
        raise DepartureError("the retry got the header of the first answer")


def _afresh(replies: Sequence[Reply]) -> None:
    require_refusal(replies[0], "UNKNOWN_EPOCH")
    require_answer(replies[1])


CASES = (
    Case("replay-same", SECTION, "the same bytes twice", refused("REPLAYED_MESSAGE"), _replay, (a_grant,)),
    Case(
        "replay-signed-anew",
        SECTION,
        "a message id that was seen, in a new message",
        refused("REPLAYED_MESSAGE"),
        _resigned,
        (a_grant,),
    ),
    Case(
        "replay-raced",
        SECTION,
        f"the same bytes {RACING} times at once",
        Expectation("one answer, REPLAYED_MESSAGE to the others", _only_one),
        lambda session: session.race(session.query, RACING),
        (a_grant,),
    ),
    Case("retry-answered", SECTION, "a retry", answered(), _retry, (a_grant,)),
    Case(
        "retry-same-answer",
        SECTION,
        "a retry",
        Expectation("the same answer body and openings", _same_answer),
        _retry,
        (a_grant,),
    ),
    Case(
        "retry-own-receipt",
        SECTION,
        "a retry",
        Expectation("a receipt and a header of its own", _own_receipt),
        _retry,
        (a_grant,),
    ),
    Case(
        "retry-after-refusal",
        SECTION,
        "a refused exchange again, with what was wrong mended",
        Expectation("UNKNOWN_EPOCH, then an answer", _afresh),
        _retry_after_refusal,
        (a_grant,),
    ),
    Case(
        "exchange-conflict",
        SECTION,
        "an exchange id that was used, with another query",
        refused("EXCHANGE_CONFLICT"),
        _conflict,
        (a_grant,),
    ),
)
