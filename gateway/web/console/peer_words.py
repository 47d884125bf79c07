"""What to call a peer in the reader's language, and in which state it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from creditexchange.v1.operator_pb2 import PeerReach
from gateway.exchange.asking.askable import maintenance_of
from gateway.peers.card import Card
from gateway.peers.reach import FAILURES_TO_OPEN
from gateway.peers.roster import SUSPENDED, Peer
from gateway.web.site.words import Language

Reach = Mapping[str, PeerReach]
"""Whether each peer is asked, by node id."""


def name_of(card: Card, language: Language) -> str:
    """Return the name in the reader's language, else any, else the node id."""
    for tag, name in card.names.items():
        if tag.partition("-")[0].lower() == language:
            return name
    return next(iter(card.names.values()), card.node_id)


def is_silent(node_id: str, reach: Reach) -> bool:
    """Whether a peer gave no answer so often in a row that it is left alone now and then."""
    return node_id in reach and reach[node_id].failures >= FAILURES_TO_OPEN


def state_of(peer: Peer, reach: Reach | None, now: datetime) -> str:
    """Return a peer's state; a key of the words below ``state``."""
    if peer.state == SUSPENDED:
        return "suspended"
    if peer.card.expires <= now:
        return "expired"
    if maintenance_of(peer.card, now) is not None:
        return "maintenance"
    if reach is None:
        return "unknown"
    return "silent" if is_silent(peer.node_id, reach) else "active"
