"""``peers retry``, and what `peers list` says of peers that are not asked at present."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import NodeOption, folder_at, say
from gateway.errors import CallerError, GatewayError
from gateway.exchange.asking.askable import instant, maintenance_of
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder
from gateway.node.lock import find_running
from gateway.peers.roster import SUSPENDED, Peer
from gateway.rpc.local_clients import OperatorClient


def retry_peer(
    peer: Annotated[str, typer.Argument(help="Node id of the peer.")], node: NodeOption = Path()
) -> None:
    """Ask a peer again at once that is left alone because it did not answer.

    A peer that gave no answer three times in a row is left alone for a second, then twice as long each time,
    two minutes at most. Whatever comes from it ends that too. Needs the running node: it is what remembers.
    """
    folder = folder_at(node)
    load_config(folder.root)
    client = _client(folder)
    if client is None:
        raise CallerError("the node does not run, so it leaves nobody alone.", remedy="Just ask.")
    try:
        failures = client.clear_reach(peer).failures
    finally:
        client.close()
    say(f"{peer} is asked again; it had not answered {failures} times in a row")


def reach_words(folder: NodeFolder, peers: list[Peer], now: datetime) -> dict[str, str]:
    """Return, by node id, whether each peer is asked at present, and why not."""
    alone = _left_alone(folder)
    words = {}
    for peer in peers:
        window = maintenance_of(peer.card, now)
        if peer.state == SUSPENDED:
            words[peer.node_id] = "no: suspended"
        elif window is not None:
            words[peer.node_id] = f"no: maintenance until {instant(window.end)}"
        elif alone.get(peer.node_id):
            words[peer.node_id] = f"no: no answer, again in {alone[peer.node_id]:.0f} s"
        else:
            planned = [w for w in peer.card.maintenance if w.start > now]
            soonest = min(planned, key=lambda w: w.start, default=None)
            words[peer.node_id] = f"yes; maintenance from {instant(soonest.start)}" if soonest else "yes"
    return words


def _left_alone(folder: NodeFolder) -> dict[str, float]:
    """Return for how many seconds peers are left alone by the running node; empty if none runs."""
    try:
        client = _client(folder)
        if client is None:
            return {}
        try:
            return {p.node_id: p.left_alone_ms / 1000 for p in client.reach().peers if p.left_alone_ms}
        finally:
            client.close()
    except GatewayError:
        return {}


def _client(folder: NodeFolder) -> OperatorClient | None:
    found = find_running(folder)
    return OperatorClient(found[0].operator, found[1]) if found is not None else None
