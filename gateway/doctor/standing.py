"""What this node knows of a peer before anything is sent: state, card, version, maintenance. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.doctor.step import IN_MAINTENANCE, Side, State, Step
from gateway.exchange.asking.askable import instant, maintenance_of
from gateway.peers.roster import SUSPENDED, Peer
from gateway.peers.versions import Versions, versions_of

STANDING, PEER_FILE, VERSION, MAINTENANCE = "standing", "peer file", "version", "maintenance"
SOON = timedelta(days=30)


def judge_standing(peer: Peer, now: datetime) -> Step:
    """Whether the peer is active here and its card valid."""
    tried, expires = f"read peers/{peer.node_id}.toml", peer.card.expires
    seen = f"{peer.state}, card serial {peer.card.serial}, valid until {expires:%Y-%m-%d}"
    step = Step(STANDING, tried, seen, "active, with a card that is valid")
    renew = (
        f"Ask the operator of {peer.node_id} for its newest card, compare its fingerprint by "
        "telephone and run "
        "`credit-gateway peers add`."
    )
    if peer.state == SUSPENDED:
        remedy = f'Set state = "active" in peers/{peer.node_id}.toml if the peer is to be asked again.'
        return step.found("PEER_SUSPENDED_HERE", Side.OURS, remedy)
    if expires <= now:
        return step.found("CARD_EXPIRED_HERE", Side.OURS, renew)
    if expires - now < SOON:
        return step.found("CARD_ENDS_SOON", Side.OURS, renew, state=State.WARNING)
    return step


def judge_version(peer: Peer, spoken: Versions) -> Step:
    """Whether there is a version of the protocol that both speak, by the peer's card."""
    theirs = versions_of(peer.card)
    step = Step(
        VERSION,
        "compare the protocol versions in the two cards",
        f"the peer speaks {theirs}",
        f"one of {spoken}",
    )
    if spoken.shared_with(theirs) is not None:
        return step
    if theirs.newest < spoken.oldest:
        remedy = (
            f"Have the operator of {peer.node_id} upgrade its node: it speaks {theirs}, this node "
            f"accepts {spoken}. If it "
            "has, ask for its newest card."
        )
        return step.found("VERSION_NOT_SHARED_HERE", Side.THEIRS, remedy)
    remedy = f"Upgrade this node: it speaks {spoken}, {peer.node_id} accepts {theirs}."
    return step.found("VERSION_NOT_SHARED_HERE", Side.OURS, remedy)


def judge_maintenance(peer: Peer, now: datetime) -> Step:
    """Whether the peer has announced maintenance."""
    step = Step(MAINTENANCE, "read what the peer's card announces", "no maintenance", "none now")
    window = maintenance_of(peer.card, now)
    if window is not None:
        notes = " / ".join(window.notes.values())
        seen = f"maintenance until {instant(window.end)}{f' ({_printable(notes)})' if notes else ''}"
        remedy = f"Wait until {instant(window.end)}: the peer announced maintenance until then."
        return step.found(IN_MAINTENANCE, Side.THEIRS, remedy, state=State.NOTE, seen=seen)
    planned = [one for one in peer.card.maintenance if one.start > now]
    if planned:
        soonest = min(planned, key=lambda one: one.start)
        seen = f"maintenance from {instant(soonest.start)} until {instant(soonest.end)}"
        return Step(MAINTENANCE, step.tried, seen, step.expected, State.NOTE, "MAINTENANCE_PLANNED")
    return step


def broken_peer_file(problem: str, remedy: str, node_id: str) -> Step:
    """Return the step for a peer whose file this node cannot use."""
    step = Step(PEER_FILE, f"read peers/{node_id}.toml", problem, "a card that can be used")
    return step.found("PEER_FILE_REFUSED", Side.OURS, remedy)


def _printable(text: str) -> str:
    return "".join(character for character in text[:200] if character.isprintable())
