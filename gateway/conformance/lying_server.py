"""Listens where the identity says and lets a :class:`Liar` answer; TLS and deadlines are the node's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.clock import system_clock
from gateway.conformance.liar import Liar
from gateway.errors import RefusedError
from gateway.exchange.answering.handlers import Handler
from gateway.exchange.messages import QUERY_RECORDS, ExchangeSettings, IncomingCall, Snapshot
from gateway.node.assemble import OUTCOMES
from gateway.node.config import load_config
from gateway.peers.roster import ACTIVE, Peer, Roster
from gateway.policy.grants import Access, AccessFile
from gateway.rpc.guard import Guard
from gateway.rpc.methods import METHODS
from gateway.rpc.server import Health, ServerLimits, add_peer_port, drain, peer_server
from gateway.schemes import load_scheme
from gateway.telemetry.metrics import Metrics

CALLS_AT_ONCE = 4


@contextmanager
def lying(liar: Liar) -> Iterator[str]:
    """Serve ``liar`` and yield the address.

    Raises:
        AlreadyRunningError: the port is taken.
    """
    identity, client = liar.identity, liar.client
    roster = Roster.of([Peer(client, ACTIVE, liar.clock(), client.endpoints)])
    snapshot = Snapshot(
        node_id=identity.node_id,
        message_keys=(identity.message, *identity.further_message),
        roster=roster,
        access=Access.of(AccessFile()),
        scheme=load_scheme(identity.folder.scheme),
        secrets={},
        settings=ExchangeSettings(),
        card_serial=identity.card.serial,
    )
    metrics, health = Metrics(OUTCOMES, (method.name for method in METHODS)), Health()
    guard = Guard(lambda: snapshot, metrics, system_clock, CALLS_AT_ONCE)
    handlers: dict[str, Handler] = {method.name: _silent for method in METHODS}
    handlers[QUERY_RECORDS] = lambda request, _call, _snapshot: liar.answer(request)
    server = peer_server(guard, handlers, ServerLimits(threads=CALLS_AT_ONCE), health)
    address = load_config(identity.folder.root).listen.peers
    tls = (identity.leaf, roster.ca_pem)
    add_peer_port(server, address, lambda: tls)
    server.start()
    health.set_serving(True)
    try:
        yield address
    finally:
        drain(server, health, 1.0).wait()


def _silent(_request: bytes, _call: IncomingCall, _snapshot: Snapshot) -> bytes:
    raise RefusedError("SHUTTING_DOWN", "this is a conformance kit, which answers QueryRecords alone.")
