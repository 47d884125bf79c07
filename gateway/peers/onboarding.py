"""Accepting a peer's card: what will be trusted, compared, then written as one file."""

from __future__ import annotations

import os
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from gateway.errors import CallerError, CardError, ConfigError
from gateway.peers.card import Card
from gateway.peers.roster import load_peer, read_peer_file, render_peer_file, stated_suites
from gateway.signing import dsse


def require_acceptable(card: Card, folder: Path, own_id: str, now: datetime) -> Card | None:
    """Return the card that ``card`` would replace, ``None`` for a new peer.

    Raises:
        CardError: expired, not newer than the accepted one, or the node's own.
    """
    if card.node_id == own_id:
        raise CardError("this is the node's own card.", remedy="Add the card that the peer sent you.")
    if card.expires <= now:
        raise CardError(
            f"the card of {card.node_id} expired on {card.expires:%Y-%m-%d}.",
            remedy="Ask the peer's operator for its newest card (`credit-gateway card`).",
        )
    path = folder / f"{card.node_id}.toml"
    if not path.exists():
        return None
    try:
        known = load_peer(path, own_id).card
    except (CardError, ConfigError):
        return None  # a file that is broken protects nothing; the fingerprint still has to be compared
    if card.serial < known.serial:
        raise CardError(
            f"the card of {card.node_id} has serial {card.serial}, the accepted one {known.serial}.",
            remedy="Somebody handed you an old card. Ask the peer's operator for the newest one.",
        )
    return known


def accept(card: Card, folder: Path, now: datetime) -> Path:
    """Write ``peers/ID.toml``; the file appears whole or not at all. Returns its path.

    ``required_suites`` of the file that was there go on to hold.

    Raises:
        CardError: the card lists no key of a suite that they demand.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"{card.node_id}.toml"
    rule = stated_suites(path)
    _require_offered(card, rule)
    text = render_peer_file(card, dsse.to_json(card.message), now, required_suites=rule)
    _put(path, text)
    pending_card(card.node_id, folder).unlink(missing_ok=True)
    return path


def renew(card: Card, folder: Path) -> Path:
    """Put a newer card into ``peers/ID.toml`` that the accepted one vouches for; all else in it stays.

    Raises:
        ConfigError: there is no such file, or it is broken.
    """
    path = folder / f"{card.node_id}.toml"
    file = read_peer_file(path)
    text = render_peer_file(
        card,
        dsse.to_json(card.message),
        file.accepted_at,
        state=file.state,
        required_suites=file.required_suites,
        endpoints=file.endpoints,
        how="fetched from the peer and signed by keys that were trusted already",
    )
    _put(path, text)
    pending_card(card.node_id, folder).unlink(missing_ok=True)
    return path


def pending_card(node_id: str, folder: Path) -> Path:
    """Return where a peer's newer card waits that nothing vouches for yet."""
    return folder / f"{node_id}.pending.json"


def keep_pending(card: Card, folder: Path) -> bool:
    """Keep a card that only a person can accept; return whether it was not kept before."""
    path, text = pending_card(card.node_id, folder), dsse.to_json(card.message) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    _put(path, text)
    return True


def _put(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _require_offered(card: Card, rule: Collection[str]) -> None:
    if missing := sorted(set(rule) - card.offered_suites):
        raise CardError(
            f"the card of {card.node_id} lists no message key of {', '.join(missing)} any more.",
            remedy=f"required_suites in peers/{card.node_id}.toml demands it: ask why before changing that.",
        )


def remove(node_id: str, folder: Path) -> Path:
    """Remove an accepted peer.

    Raises:
        CallerError: there is no such peer.
    """
    path = folder / f"{node_id}.toml"
    if "/" in node_id or "\\" in node_id or not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml"))) or "none"
        raise CallerError(f"no peer {node_id[:40]!r}.", remedy=f"Known peers: {known}.")
    path.unlink()
    pending_card(node_id, folder).unlink(missing_ok=True)
    return path
