"""Section 7: the node's card as it is fetched, and keys of a card outside their time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from creditexchange.v1.node_pb2 import GetCardRequest, GetCardResponse
from gateway.conformance.answer_checks import response_of
from gateway.conformance.case import Case
from gateway.conformance.draft import GET_CARD, UNKNOWN_FIELD
from gateway.conformance.expectation import DepartureError, Expectation, Reply, answered, refused
from gateway.conformance.session import Session
from gateway.errors import GatewayError
from gateway.peers.card import verify_card

SECTION = "7 Card"


def a_next_key(session: Session) -> str:
    """Need: the identity's card announces a key that is not live yet."""
    return "" if session.identity.next_message else "needs an identity whose card announces a next key"


def _get(known: Callable[[Session], int], extra: bytes = b"") -> Callable[[Session], Sequence[Reply]]:
    def run(session: Session) -> Sequence[Reply]:
        request = GetCardRequest(known_serial=known(session)).SerializeToString()
        return [session.call(GET_CARD, request + extra)]

    return run


def _the_card(reply: Reply) -> None:
    """The present card, or a newer one, of this node."""
    response = response_of(reply, GetCardResponse)
    try:
        card = verify_card(response.card)
    except GatewayError as error:
        raise DepartureError(f"the card is not acceptable: {error.message}") from error
    if card.node_id != reply.card.node_id or card.serial < reply.card.serial:
        raise DepartureError("the card is of another node, or older than the one that was handed over")


def _no_card(reply: Reply) -> None:
    """No card: the caller has the newest."""
    if response_of(reply, GetCardResponse).HasField("card"):
        raise DepartureError("a card is sent that is not newer than the known one")


def _with_next_key(session: Session) -> Sequence[Reply]:
    draft = session.query()
    draft.keys = session.identity.next_message
    return [session.send(draft)]


def _case(id_: str, sent: str, must: Expectation, run: Callable[[Session], Sequence[Reply]]) -> Case:
    return Case(id_, SECTION, sent, must, run)


CASES = (
    _case("card-fetched", "GetCard, no card being known", answered(_the_card), _get(lambda _session: 0)),
    _case(
        "card-known",
        "GetCard, a card of the highest serial being known",
        answered(_no_card),
        _get(lambda _session: 2**63 - 1),
    ),
    _case(
        "card-unknown-field",
        "GetCard with an unknown field",
        refused("MALFORMED_MESSAGE"),
        _get(lambda _session: 0, UNKNOWN_FIELD),
    ),
    replace(
        _case(
            "card-key-not-live-yet",
            "a query signed by a key that the card announces for later",
            refused("UNKNOWN_KEY"),
            _with_next_key,
        ),
        needs=(a_next_key,),
    ),
)
