"""The life of a serving node: lock, assemble, listen, reload, drain."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server

from gateway import __version__
from gateway.clock import Clock, monotonic_s, system_clock
from gateway.errors import AlreadyRunningError, GatewayError
from gateway.exchange.answering.charging import forget_use
from gateway.exchange.answering.handlers import peer_handlers, stream_handlers
from gateway.exchange.learning_codes import forget_codes
from gateway.node.assemble import Node, assemble
from gateway.node.folder import NodeFolder
from gateway.node.lock import RunningNode, announce, node_lock, withdraw
from gateway.node.private_memory import keep_memory_private
from gateway.node.reload import Reloader
from gateway.node.retranslate import Retranslator
from gateway.node.rotator import Rotator
from gateway.policy.rates import CallRates
from gateway.rpc.archive import ArchiveServicer
from gateway.rpc.guard import Guard
from gateway.rpc.local_calls import LocalCalls
from gateway.rpc.operator import OperatorServicer
from gateway.rpc.server import (
    ARCHIVE_SERVICE,
    OPERATOR_SERVICE,
    Health,
    ServerLimits,
    add_peer_port,
    drain,
    operator_server,
    peer_server,
)
from gateway.signing.signed_note import NoteVerifier, Verifiers
from gateway.telemetry.events import configure, logger
from gateway.upkeep.own_log import ask_witnesses
from gateway.upkeep.witnessing import PeerRounds
from gateway.web.log_page import LogPage, LogServer

UPKEEP_S = 60.0
ANNOUNCE_S = 1.0
"""How long a stopping node answers SHUTTING_DOWN at least, seconds: time to turn to another one."""
GRACE_S = 2.0
"""What a last call that slipped in between gets, seconds."""

_log = logger("serve")


@dataclass
class Serving:
    """A node that listens; stop it with :meth:`stop`."""

    node: Node
    running: RunningNode
    reloader: Reloader
    _stop: Callable[[], None]

    def stop(self) -> None:
        """Drain and close everything; no accepted call is lost."""
        self._stop()


def serve(folder: NodeFolder, clock: Clock = system_clock) -> None:
    """Serve the node of ``folder`` until SIGTERM or SIGINT; SIGHUP looks for changed files at once.

    Raises:
        OperatorError: the node cannot start; the text says why.
    """
    keep_memory_private()
    with node_lock(folder), _signals() as arrived:
        serving = start(folder, clock)
        try:
            _obey(serving, arrived)
        finally:
            serving.stop()


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Yield a socket on which the numbers of arriving signals can be read, one byte each.

    The handlers themselves do nothing. One that took a lock, and be it that of an Event, would wait
    for itself for ever when a second signal comes while it runs.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _signal, _frame: None)
    try:
        with reader, writer:
            yield reader
    finally:
        signal.set_wakeup_fd(-1)


def _obey(serving: Serving, arrived: socket.socket) -> None:
    """Keep the node up until a signal ends it; SIGHUP looks for changed files."""
    due_s = monotonic_s() + UPKEEP_S
    while True:
        arrived.settimeout(max(0.001, due_s - monotonic_s()))
        try:
            numbers = arrived.recv(1024)
        except TimeoutError:
            keep_up_or_say(serving.node)
            due_s = monotonic_s() + UPKEEP_S
            continue
        if set(numbers) & {signal.SIGTERM, signal.SIGINT}:
            return
        serving.reloader.wake()


def keep_up_or_say(node: Node) -> None:
    """Keep the node up; what cannot be done now, for example on a full disk, is tried again later."""
    try:
        keep_up(node)
    except GatewayError as error:
        _log.error("upkeep failed and is tried again", problem=str(error.__cause__ or error))


def start(folder: NodeFolder, clock: Clock = system_clock) -> Serving:
    """Start listening and return; the caller holds the node's lock. Raises as :func:`serve`."""
    node = assemble(folder, clock)
    configure(node.config.log.level)
    _require_not_rolled_back(node)
    limits, health = _limits(node), Health()
    guard = Guard(
        lambda: node.snapshot,
        node.metrics,
        clock,
        node.config.limits.threads,
        node.reaches.heard_from,
        CallRates(node.shared_rates),
    )
    peers = peer_server(
        guard,
        peer_handlers(node.answering, node.witness),
        limits,
        health,
        stream_handlers(node.answering),
    )
    listen = node.config.listen
    try:
        port = add_peer_port(peers, listen.peers, lambda: node.tls)
        web, web_thread = _serve_metrics(listen.metrics, node)
        page = _log_server(node)
    except Exception:
        node.close()
        raise
    running = RunningNode(_pid(), _with_port(listen.peers, port), listen.operator, listen.metrics)
    token = announce(folder, running)
    calls = LocalCalls(token)
    services = {
        ARCHIVE_SERVICE: ArchiveServicer(lambda: node.snapshot, lambda: node.asking, calls).rpcs(),
        OPERATOR_SERVICE: OperatorServicer(lambda: node.snapshot, node.operating, calls).rpcs(),
    }
    operator, _ = operator_server(services, listen.operator, health)
    reloader = Reloader(node)
    rounds = _peer_rounds(node)
    retranslator = Retranslator(node)
    rotator = Rotator(node, reloader.reload_if_changed)
    keep_up(node)
    peers.start()
    operator.start()
    for loop in (reloader, rounds, retranslator, rotator):
        loop.start()
    if page is not None:
        page.start()
    health.set_serving(True)
    _log.info("serving", node=node.config.node.id, peers=running.peers, card_serial=node.card.serial)

    def stop() -> None:
        _log.info("draining", node=node.config.node.id)
        reloader.stop()
        retranslator.stop()
        rotator.stop()
        health.set_serving(False)
        guard.drain(ANNOUNCE_S, node.config.limits.drain_s)
        drain(peers, health, GRACE_S).wait()
        rounds.stop()
        if page is not None:
            page.stop()
        operator.stop(1).wait()
        web.shutdown()
        web.server_close()
        web_thread.join(timeout=5)
        withdraw(folder)
        node.close()
        _log.info("stopped", node=node.config.node.id)

    return Serving(node, running, reloader, stop)


def _peer_rounds(node: Node) -> PeerRounds:
    """Return what is done with the peers again and again."""
    revocations = node.operating.revocations
    return PeerRounds(
        (
            node.witnessing.round,
            node.record_changes.round,
            lambda: node.operating.notices.deliver(node.snapshot),
            lambda: revocations.round(node.snapshot),
        ),
        node.config.audit.cosign_s,
    )


def _require_not_rolled_back(node: Node) -> None:
    """Ask the peers whether they hold a head of this log that the store does not continue.

    Raises:
        AuditLogError: one does.
    """
    found, answered = ask_witnesses(list(node.snapshot.roster.peers.values()), node.channels, node.log)
    if found:
        node.close()
        raise found[0].error
    if node.snapshot.roster.peers and not answered:
        _log.warning("no peer could be asked whether this log was rolled back; they are asked again later")


def _log_server(node: Node) -> LogServer | None:
    """Return the open page with the log and the witness, if there is to be one."""
    address = node.config.audit.listen
    if address is None:
        return None
    foreign = [NoteVerifier.from_vkey(vkey) for vkey in node.config.audit.witnessed_logs]

    def verifiers() -> dict[str, Verifiers]:
        peers = [peer.card.live_log_verifiers(node.clock()) for peer in node.snapshot.roster.peers.values()]
        return {known[0].name: known for known in (*((one,) for one in foreign), *filter(None, peers))}

    return LogServer(LogPage(node.log, node.witness, verifiers), address)


def keep_up(node: Node) -> None:
    """Refresh the gauges that follow from databases, forget expired message ids, renew the TLS leaf."""
    node.metrics.build.labels(__version__).set(1)
    node.metrics.log_entries.set_function(lambda: node.log.size)
    node.metrics.records_held.set(node.registry.count())
    node.log.purge_seen()
    forget_codes(node.log, node.clock())
    forget_use(node.log, node.clock())
    if node.renew_leaf_if_due():
        _log.info("TLS leaf or card renewed", node=node.config.node.id)


def _limits(node: Node) -> ServerLimits:
    limits = node.config.limits
    return ServerLimits(
        threads=limits.threads,
        message_bytes_max=limits.message_bytes_max,
        streams_per_connection_max=limits.streams_per_connection_max,
        connection_age_ms_max=limits.connection_age_s_max * 1000,
        connection_idle_ms_max=limits.connection_idle_s_max * 1000,
    )


def _serve_metrics(address: str, node: Node) -> tuple[WSGIServer, threading.Thread]:
    host, port = address.rsplit(":", 1)
    try:
        return start_http_server(int(port), addr=host.strip("[]"), registry=node.metrics.registry)
    except OSError as error:
        raise AlreadyRunningError(
            f"the metrics address {address} cannot be listened on.",
            remedy="Another program has the port. Stop it, or change listen.metrics in node.toml.",
        ) from error


def _with_port(address: str, port: int) -> str:
    return f"{address.rsplit(':', 1)[0]}:{port}"


def _pid() -> int:
    import os

    return os.getpid()
