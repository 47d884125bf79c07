"""Asks a peer for a sign of life when none came for a while: a federation may be silent for hours."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.errors import PeerFaultError
from gateway.exchange.asking.askable import maintenance_of
from gateway.exchange.asking.audit_log import PeerAudit
from gateway.peers.caller import PeerCaller
from gateway.peers.roster import SUSPENDED, Peer, Roster

SILENCE_S = 30.0
"""A peer that gave a sign of life within that time is not asked for one, seconds."""
CALL_S = 5.0
AT_ONCE_MAX = 8


@dataclass(frozen=True)
class Probing:
    """What a round works with."""

    origin: str
    """Name of this node's own log, about which the peer is asked: the cheapest question there is."""
    caller: PeerCaller
    last_heard_s: Callable[[str], float]
    clock: Clock

    def round(self, roster: Roster) -> int:
        """Ask every active peer that is silent; return how many were asked.

        The caller itself notes who answered, if only by a refusal.
        """
        silent = [peer for peer in roster.peers.values() if self._is_silent(peer)]
        if silent:
            with ThreadPoolExecutor(AT_ONCE_MAX, "probing") as pool:
                list(pool.map(self._ask, silent))
        return len(silent)

    def _is_silent(self, peer: Peer) -> bool:
        now = self.clock()
        if peer.state == SUSPENDED or maintenance_of(peer.card, now) is not None:
            return False
        return now.timestamp() - self.last_heard_s(peer.node_id) >= SILENCE_S

    def _ask(self, peer: Peer) -> None:
        try:
            PeerAudit(peer, self.caller, CALL_S).witnessed_checkpoint(self.origin)
        except PeerFaultError:
            return
