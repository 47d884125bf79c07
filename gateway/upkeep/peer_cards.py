"""Asks each peer, again and again, for its newest card and for what it has taken up of this node's.

A new card comes over the authenticated channel and is judged by ``peers/succession.py``: taken up by
itself, kept until somebody has telephoned, or refused. A signed echo tells which of this node's cards
the peer has accepted, and which epochs of the federation secret are live there: what a change of keys
waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from creditexchange.v1.node_pb2 import GetCardRequest, GetCardResponse
from gateway.audit import management_entry
from gateway.errors import CardError, EnvelopeError, GatewayError, PeerFaultError
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.check import check_peer
from gateway.exchange.messages import GET_CARD, Snapshot
from gateway.peers.onboarding import keep_pending, renew
from gateway.peers.roster import Peer
from gateway.peers.succession import UntrustedCardError, judge_successor
from gateway.signing.envelope import parse
from gateway.telemetry.events import logger

CALL_S = 5.0
"""How long one call may take, seconds."""
AT_ONCE_MAX = 16

_log = logger("cards")


@dataclass(frozen=True, slots=True)
class Heard:
    """What one peer said last."""

    accepted_serial: int
    """Serial number of this node's card that it has accepted."""
    epochs: tuple[str, ...]
    """Epochs of the federation secret that are live there."""
    at: datetime


@dataclass
class PeerCards:
    """Remembers what the peers said; :meth:`round` asks them all."""

    folder: Path
    """Folder of the accepted peers."""
    asking: Callable[[], Asking]
    heard: dict[str, Heard] = field(default_factory=dict)
    _complained: dict[str, str] = field(default_factory=dict)

    def round(self, snapshot: Snapshot) -> bool:
        """Ask every active peer; return whether a newer card of one was taken up.

        What one peer does wrong never keeps the others from their turn.
        """
        peers = snapshot.roster.active
        for node_id in set(self.heard) - {peer.node_id for peer in peers}:
            del self.heard[node_id]
        if not peers:
            return False
        with ThreadPoolExecutor(min(AT_ONCE_MAX, len(peers)), "peer-cards") as pool:
            return any(list(pool.map(lambda peer: self._ask(peer, snapshot), peers)))

    def epochs(self) -> Mapping[str, tuple[str, ...]]:
        """Return the epochs that each peer said are live there."""
        return {node_id: heard.epochs for node_id, heard in self.heard.items()}

    def _ask(self, peer: Peer, snapshot: Snapshot) -> bool:
        asking = self.asking()
        is_new = False
        try:
            is_new = self._fetch(peer, snapshot, asking)
        except PeerFaultError as fault:
            _log.debug("card not fetched", peer=peer.node_id, problem=fault.outcome)
        try:
            check = check_peer(peer, snapshot, asking, CALL_S)
        except PeerFaultError as fault:
            _log.debug("no echo", peer=peer.node_id, problem=fault.outcome)
        else:
            self.heard[peer.node_id] = Heard(
                check.accepted_card_serial, check.federation_epochs, asking.clock()
            )
        return is_new

    def _fetch(self, peer: Peer, snapshot: Snapshot, asking: Asking) -> bool:
        request = GetCardRequest(known_serial=peer.card.serial).SerializeToString()
        response = asking.caller.call(peer, GET_CARD, request, CALL_S)
        try:
            message = parse(GetCardResponse, response, "response")
        except EnvelopeError as error:
            raise PeerFaultError("ANSWER_MALFORMED", error.message) from error
        if not message.HasField("card"):
            return False
        count = asking.metrics.peer_cards.labels
        try:
            card = judge_successor(message.card, peer, snapshot.roster, asking.clock())
            asking.log.append(management_entry("card-change", reason="fetched", peer=peer.node_id))
            renew(card, self.folder)
        except UntrustedCardError as waiting:
            if keep_pending(waiting.card, self.folder):
                count(peer.node_id, "pending").inc()
                _log.warning(
                    "a newer card of a peer waits: compare its fingerprint by telephone, then `peers add` it",
                    peer=peer.node_id,
                    serial=waiting.card.serial,
                    why=waiting.message,
                )
            return False
        except (CardError, GatewayError) as error:
            if self._complained.get(peer.node_id) != str(error):
                self._complained[peer.node_id] = str(error)
                count(peer.node_id, "refused").inc()
                _log.error("a card of a peer is refused", peer=peer.node_id, problem=str(error))
            return False
        count(peer.node_id, "accepted").inc()
        _log.info("a newer card of a peer was taken up", peer=peer.node_id, serial=card.serial)
        return True
