"""A newer card of a known peer: taken up by itself, kept until somebody has telephoned, or refused.

Pure: the card's bytes, what is accepted now, and *now* come in. A card is taken up by itself only when
the keys that are trusted already have signed it, as they sign every message of the peer: whoever holds
those could speak in the peer's name anyway. Whatever takes something away that a person once compared
– a suite, the log's name – waits for a person.
"""

from __future__ import annotations

from datetime import datetime

from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.errors import CardError, EnvelopeError
from gateway.peers.card import CARD_PAYLOAD_TYPE, Card, verify_card
from gateway.peers.roster import Peer, Roster
from gateway.signing.envelope import open_envelope


class UntrustedCardError(CardError):
    """The card is newer and in order, but nothing that is trusted vouches for it: compare by telephone."""

    def __init__(self, card: Card, message: str) -> None:
        super().__init__(
            message, remedy=f"Have the operator of {card.node_id} read its fingerprint to you by telephone."
        )
        self.card = card


def judge_successor(message: SignedMessage, peer: Peer, roster: Roster, now: datetime) -> Card:
    """Return the card in ``message`` if it may take the place of ``peer``'s accepted one by itself.

    Raises:
        UntrustedCardError: only a person can decide; its ``card`` is in order.
        CardError: it is refused: malformed, of another node, not newer, expired, or it lists what is
            another peer's.
    """
    try:
        card = verify_card(message)
    except EnvelopeError as error:
        raise CardError(f"the card that {peer.node_id} sent: {error.message}") from error
    _require_newer(card, peer, now)
    _require_no_foreign_keys(card, peer, roster)
    _require_vouched(message, card, peer, now)
    return card


def _require_newer(card: Card, peer: Peer, now: datetime) -> None:
    accepted = peer.card
    if card.node_id != accepted.node_id:
        raise CardError(f"{peer.node_id} sent the card of {card.node_id}.")
    if card.serial <= accepted.serial:
        raise CardError(
            f"{peer.node_id} sent a card of serial {card.serial}; the accepted one has {accepted.serial}."
        )
    if card.expires <= now:
        raise CardError(f"{peer.node_id} sent a card that expired on {card.expires:%Y-%m-%d}.")


def _require_no_foreign_keys(card: Card, peer: Peer, roster: Roster) -> None:
    """One peer's card must never keep this node from reading the others'."""
    others = [known for known in roster.peers.values() if known.node_id != peer.node_id]
    Roster.of([*others, Peer(card, peer.state, peer.accepted_at, peer.endpoints, peer.required_suites)])


def _require_vouched(message: SignedMessage, card: Card, peer: Peer, now: datetime) -> None:
    accepted = peer.card
    if accepted.expires <= now:
        raise UntrustedCardError(card, "the card that was accepted has expired.")
    try:
        open_envelope(message, CARD_PAYLOAD_TYPE, lambda key_id: peer.message_key(key_id, now))
    except EnvelopeError as error:
        raise UntrustedCardError(
            card, f"it is not signed by the keys of the accepted card: {error.message}"
        ) from error
    lost = sorted((accepted.lasting_suites | peer.required_suites) - card.lasting_suites)
    if lost:
        raise UntrustedCardError(card, f"it signs no longer with {', '.join(lost)}.")
    if card.log_origin != accepted.log_origin:
        raise UntrustedCardError(
            card, f"its audit log has another name, {card.log_origin}, instead of {accepted.log_origin}."
        )
