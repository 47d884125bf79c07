"""Three real nodes over real gRPC and TLS on loopback; a test breaks one thing and reads the verdict."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from gateway.doctor.agreement import ANYTHING, Wish
from gateway.doctor.diagnose import Doctor
from gateway.doctor.step import Step, Verdict
from gateway.exchange.answering.handlers import peer_handlers, stream_handlers
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.messages import ExchangeSettings, Snapshot
from gateway.peers.roster import Peer, Roster
from gateway.rpc.channels import Channels, TlsLeaf
from gateway.rpc.guard import Guard
from gateway.rpc.server import Health, ServerLimits, add_peer_port, peer_server
from tests.federation.provinces import Province
from tests.federation.simulator import Federation, SimulatedNode, make_federation
from tests.ports import free_port

US, THEM, THIRD = "zhejiang", "shanghai", "anhui"
SHORT = ExchangeSettings(deadline_s=2.0)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Port:
    """The peer port of one node. Everything about it may be replaced until it is opened."""

    node: SimulatedNode
    address: str
    tls: list[tuple[TlsLeaf, bytes]]
    limits: ServerLimits = field(default_factory=ServerLimits)
    calls_at_once_max: int = 16
    guard: Guard | None = None
    server: grpc.Server | None = None

    def open(self) -> None:
        node = self.node
        self.guard = Guard(lambda: node.snapshot, node.metrics, node.clock, self.calls_at_once_max)
        answering = replace(node.answering, clock=node.clock)
        self.server = peer_server(
            self.guard,
            peer_handlers(answering, node.witness),
            self.limits,
            Health(),
            stream_handlers(answering),
        )
        add_peer_port(self.server, self.address, lambda: self.tls[0])
        self.server.start()

    def close(self) -> None:
        if self.server is not None:
            self.server.stop(None).wait()


@dataclass
class Clinic:
    """Zhejiang looks at Shanghai; Anhui is there to be asked for its opinion."""

    federation: Federation
    ports: dict[str, Port]
    closing: ExitStack
    leaf: TlsLeaf
    channels: Channels | None = None

    @property
    def us(self) -> SimulatedNode:
        return self.federation[US]

    @property
    def them(self) -> SimulatedNode:
        return self.federation[THEM]

    @property
    def third(self) -> SimulatedNode:
        return self.federation[THIRD]

    @property
    def peer(self) -> Peer:
        return self.us.snapshot.roster.peers[THEM]

    def know(self, peer: Peer, *, at: SimulatedNode | None = None) -> None:
        """Have ``at`` (us, if nobody else is named) accept ``peer`` as it is."""
        node = at or self.us
        others = [p for p in node.snapshot.roster.peers.values() if p.node_id != peer.node_id]
        node.adopt(roster=Roster.of([*others, peer]))
        if node is not self.us:
            port = self.ports[node.node_id]
            port.tls[0] = (port.tls[0][0], node.snapshot.roster.ca_pem)

    def endpoints(self, *endpoints: str) -> None:
        """Have our card of them name these endpoints."""
        self.know(replace(self.peer, endpoints=endpoints))

    def serve(self, *nodes: str) -> None:
        for node_id in nodes or (THEM,):
            self.ports[node_id].open()
            self.closing.callback(self.ports[node_id].close)

    def examine(self, wish: Wish = ANYTHING) -> tuple[list[Step], Verdict]:
        """Diagnose them, as the operator of zhejiang does."""
        channels = Channels(lambda: self.leaf, self.us.snapshot.settings.message_bytes_max)
        self.closing.callback(channels.close)
        asking = Asking(channels, self.us.log, self.us.metrics, self.us.clock)
        snapshot: Snapshot = self.us.snapshot
        doctor = Doctor(snapshot, asking, lambda: (self.leaf.certificate, self.leaf.key))
        *steps, verdict = doctor.diagnose(self.peer, wish)
        assert isinstance(verdict, Verdict)
        return [step for step in steps if isinstance(step, Step)], verdict


@contextmanager
def three_nodes(folder: Path) -> Iterator[Federation]:
    """Three nodes with databases of their own: what takes longest to make."""
    federation = make_federation(folder, US, THEM, THIRD, born=now())
    yield federation
    for node in federation.nodes.values():
        node.log.close()
        node.log._database.dispose()


@contextmanager
def clinic(federation: Federation) -> Iterator[Clinic]:
    """Three nodes that know one another; none serves yet. What a test changes is put back at the end."""
    ports, closing = {}, ExitStack()
    before = {node.node_id: node.snapshot for node in federation.nodes.values()}
    for node in federation.nodes.values():
        node.clock = now
        node.adopt(settings=SHORT)
        address = f"127.0.0.1:{free_port()}"
        leaf = TlsLeaf(*node.province.leaf_with_key())
        ports[node.node_id] = Port(node, address, [(leaf, node.snapshot.roster.ca_pem)])
    us = federation[US]
    made = Clinic(federation, ports, closing, TlsLeaf(*us.province.leaf_with_key()))
    for other in (THEM, THIRD):
        made.know(replace(us.snapshot.roster.peers[other], endpoints=(ports[other].address,)))
    with closing:
        yield made
    for node in federation.nodes.values():
        node.snapshot = before[node.node_id]


def clock_off(seconds: float) -> Callable[[], datetime]:
    return lambda: now() + timedelta(seconds=seconds)


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP server that hands each connection to ``serve``; yields its endpoint."""
    with socket.create_server(("127.0.0.1", free_port())) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)


def stranger(node_id: str) -> Province:
    """A province of the same id with other keys: an impostor, or the same node after all keys changed."""
    return Province(node_id, born=now())
