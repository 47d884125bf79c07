"""Whether a peer is asked at all. What speaks against it is said without sending anything."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.errors import PeerFaultError
from gateway.peers.card import Card, Maintenance
from gateway.peers.reach import Reaches
from gateway.peers.roster import SUSPENDED, Peer
from gateway.peers.versions import Versions, versions_of


def require_askable(
    peer: Peer,
    reaches: Reaches,
    now: datetime,
    deadline_s: float,
    *,
    spoken: Versions,
    is_even_in_maintenance: bool = False,
) -> None:
    """Return if ``peer`` may be asked now; its breaker then expects a call of at most ``deadline_s`` seconds.

    Raises:
        PeerFaultError: ``PEER_SUSPENDED_HERE``, ``CARD_EXPIRED_HERE``, ``VERSION_NOT_SHARED_HERE``,
            ``PEER_IN_MAINTENANCE`` or ``PEER_LEFT_ALONE``.
    """
    if peer.state == SUSPENDED:
        raise PeerFaultError(
            "PEER_SUSPENDED_HERE",
            "this node's operator suspended the peer.",
            remedy='Set state = "active" in its peer file to ask it again.',
        )
    if peer.card.expires <= now:
        raise PeerFaultError(
            "CARD_EXPIRED_HERE",
            f"the peer's card expired on {peer.card.expires:%Y-%m-%d}.",
            remedy="Ask its operator for the newest card and run `credit-gateway peers add`.",
        )
    theirs = versions_of(peer.card)
    if spoken.shared_with(theirs) is None:
        raise PeerFaultError(
            "VERSION_NOT_SHARED_HERE",
            f"the peer speaks protocol version {theirs}, this node {spoken}.",
            remedy=f"Upgrade {'the peer' if theirs.newest < spoken.oldest else 'this node'}.",
        )
    window = maintenance_of(peer.card, now)
    if window is not None and not is_even_in_maintenance:
        notes = " / ".join(window.notes.values())
        raise PeerFaultError(
            "PEER_IN_MAINTENANCE",
            f"the peer announced maintenance until {instant(window.end)}{f' ({notes})' if notes else ''}.",
            remedy="Ask again after that, or with --even-in-maintenance.",
        )
    wait_s = reaches.begin(peer.node_id, deadline_s)
    if wait_s:
        raise PeerFaultError(
            "PEER_LEFT_ALONE",
            f"the peer did not answer {reaches.failures(peer.node_id)} times in a row and is left alone "
            f"until {instant(now + timedelta(seconds=wait_s))}.",
            remedy=f"Ask again after that, or run `credit-gateway peers retry {peer.node_id}`.",
        )


def maintenance_of(card: Card, now: datetime) -> Maintenance | None:
    """Return the window of announced maintenance that ``now`` lies in; of several, the one that ends last."""
    open_now = [window for window in card.maintenance if window.start <= now < window.end]
    return max(open_now, key=lambda window: window.end, default=None)


def instant(time: datetime) -> str:
    """Return an instant as it is shown to people."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")
