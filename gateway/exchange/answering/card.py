"""This node's own card, for a peer that has an older one.

The call is unsigned: mutual TLS says who asks, a card is public, and it proves itself by its signatures.
"""

from __future__ import annotations

from creditexchange.v1.node_pb2 import GetCardRequest, GetCardResponse
from gateway.errors import EnvelopeError, RefusedError
from gateway.exchange.messages import Snapshot
from gateway.signing.envelope import parse_strictly


def answer_card(request: bytes, snapshot: Snapshot) -> bytes:
    """Return the present card if it is newer than the one that the caller knows.

    Raises:
        RefusedError: ``MALFORMED_MESSAGE``.
    """
    try:
        asked = parse_strictly(GetCardRequest, request, "request")
    except EnvelopeError as error:
        raise RefusedError(error.reason, error.message, details=error.details) from error
    is_newer = snapshot.card is not None and snapshot.card_serial > asked.known_serial
    return GetCardResponse(card=snapshot.card if is_newer else None).SerializeToString()
