"""Real gRPC over mutual TLS between two simulated nodes: what a query costs, and how streams flow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import grpc

from gateway.exchange.answering.handlers import peer_handlers, stream_handlers
from gateway.exchange.asking.ask import Asking
from gateway.peers.roster import Peer, Roster
from gateway.rpc.channels import Channels, TlsLeaf
from gateway.rpc.guard import Guard
from gateway.rpc.server import Health, ServerLimits, add_peer_port, peer_server
from tests.federation.simulator import SimulatedNode


@dataclass
class RealWire:
    """The port of one node and the channels of another."""

    asking: Asking
    peer: Peer
    server: grpc.Server
    guard: Guard


@contextmanager
def real_wire(
    asker: SimulatedNode, answerer: SimulatedNode, port: int, *, calls_per_second: int = 100_000
) -> Iterator[RealWire]:
    """Serve ``answerer`` on loopback and let ``asker`` ask it there."""
    access = replace(answerer.snapshot.access, rates={asker.node_id: calls_per_second})
    answerer.adopt(access=access)
    guard = Guard(lambda: answerer.snapshot, answerer.metrics, answerer.clock, calls_at_once_max=16)
    server = peer_server(
        guard,
        peer_handlers(answerer.answering, answerer.witness),
        ServerLimits(),
        Health(),
        stream_handlers(answerer.answering),
    )
    tls = (TlsLeaf(*answerer.province.leaf_with_key()), answerer.snapshot.roster.ca_pem)
    add_peer_port(server, f"127.0.0.1:{port}", lambda: tls)
    server.start()
    own_leaf = TlsLeaf(*asker.province.leaf_with_key())
    known = asker.snapshot.roster.peers[answerer.node_id]
    peer = replace(known, endpoints=(f"127.0.0.1:{port}",))
    others = [p for p in asker.snapshot.roster.peers.values() if p is not known]
    asker.adopt(roster=Roster.of([*others, peer]))
    channels = Channels(lambda: own_leaf, asker.snapshot.settings.message_bytes_max)
    try:
        yield RealWire(replace(asker.asking, caller=channels), peer, server, guard)
    finally:
        channels.close()
        server.stop(None).wait()
