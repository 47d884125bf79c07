"""What the peers said of this node's card and their epochs, kept for the command line and the next start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from gateway.node.folder import NodeFolder
from gateway.peers.roster import Roster
from gateway.upkeep.peer_cards import Heard

HEARD_FILE = "peer-cards.json"
"""In ``run/``: what the peers said last, for the command line and the next start. Nothing secret."""


def accepted_serials(roster: Roster, heard: Mapping[str, Heard]) -> dict[str, int]:
    """Return which serial of this node's card each active peer said it accepted; 0 = it has not said."""
    ids = [peer.node_id for peer in roster.active]
    return {i: heard[i].accepted_serial if i in heard else 0 for i in ids}


def write_heard(folder: NodeFolder, serial: int, heard: dict[str, Heard]) -> None:
    """Keep what the peers said, beside the serial number of the card that was this node's then."""
    peers = {i: asdict(entry) | {"at": entry.at.isoformat()} for i, entry in heard.items()}
    fresh = folder.run / f"{HEARD_FILE}.new"
    fresh.write_text(json.dumps({"serial": serial, "peers": peers}, indent=2) + "\n", encoding="utf-8")
    fresh.replace(folder.run / HEARD_FILE)


def read_heard(folder: NodeFolder) -> dict[str, Heard]:
    """Return what the peers said last; empty when nothing is kept."""
    try:
        peers = json.loads((folder.run / HEARD_FILE).read_text(encoding="utf-8"))["peers"]
        return {
            str(i): Heard(
                int(entry["accepted_serial"]), tuple(entry["epochs"]), datetime.fromisoformat(entry["at"])
            )
            for i, entry in peers.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
