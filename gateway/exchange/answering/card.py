"""This node's own card, for a peer that has an older one.

The call is unsigned: mutual TLS says who asks, a card is public, and it proves itself by its signatures.
"""

from __future__ import annotations

from creditexchange.v1.node_pb2 import GetCardRequest, GetCardResponse
from gateway.exchange.answering.open import read_unsigned
from gateway.exchange.messages import Snapshot


def answer_card(request: bytes, snapshot: Snapshot) -> bytes:
    """Return the present card if it is newer than the one that the caller knows.

    Raises:
        RefusedError: ``MALFORMED_MESSAGE``.
    """
    asked = read_unsigned(GetCardRequest, request)
    is_newer = snapshot.card is not None and snapshot.card_serial > asked.known_serial
    return GetCardResponse(card=snapshot.card if is_newer else None).SerializeToString()
