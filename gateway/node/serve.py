"""The life of a serving node: lock, assemble, listen, reload, drain."""

from __future__ import annotations

import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server

from gateway import __version__
from gateway.audit.retention import prepare_months
from gateway.clock import Clock, monotonic_s, system_clock
from gateway.errors import AlreadyRunningError, ConfigError, GatewayError
from gateway.exchange.answering.charging import forget_use
from gateway.exchange.answering.handlers import peer_handlers, stream_handlers
from gateway.exchange.learning_codes import forget_codes
from gateway.node.assemble import Node, assemble, exports_of
from gateway.node.folder import NodeFolder
from gateway.node.garbage import collect_now, collect_seldom
from gateway.node.heap import keep_heap_together, use_huge_pages
from gateway.node.heard_cards import read_heard
from gateway.node.lock import RunningNode, announce, node_lock, withdraw
from gateway.node.private_memory import keep_memory_private
from gateway.node.reload import Reloader
from gateway.node.retranslate import Retranslator
from gateway.node.rotator import Rotator
from gateway.policy.rates import CallRates
from gateway.rpc.archive import ArchiveServicer
from gateway.rpc.guard import Guard
from gateway.rpc.local_calls import LocalCalls
from gateway.rpc.local_clients import ARCHIVE_SERVICE, OPERATOR_SERVICE
from gateway.rpc.operator import OperatorServicer
from gateway.rpc.server import (
    Health,
    ServerLimits,
    add_peer_port,
    drain,
    operator_server,
    peer_server,
)
from gateway.signing.signed_note import NoteVerifier, Verifiers
from gateway.telemetry import tracing
from gateway.telemetry.events import configure, logger
from gateway.upkeep.keep_timings import TimingKeeper
from gateway.upkeep.own_log import ask_witnesses
from gateway.upkeep.witnessing import PeerRounds
from gateway.web.credential_page import CredentialPages
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
    metrics_port: int
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
    keep_heap_together()
    with node_lock(folder), signals() as arrived:
        serving = start(folder, clock)
        try:
            obey(serving, arrived)
        finally:
            serving.stop()


@contextmanager
def signals() -> Iterator[socket.socket]:
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


def obey(serving: Serving, arrived: socket.socket, supervisor: socket.socket | None = None) -> None:
    """Keep the node up until a signal ends it, or the supervisor has gone; SIGHUP looks for changed files."""
    collect_seldom()
    use_huge_pages()
    watched = [arrived] if supervisor is None else [arrived, supervisor]
    ending = {signal.SIGTERM, signal.SIGINT} if supervisor is None else {signal.SIGTERM}
    due_s = monotonic_s() + UPKEEP_S
    while True:
        ready, _, _ = select.select(watched, [], [], max(0.001, due_s - monotonic_s()))
        if not ready:
            keep_up_or_say(serving.node)
            collect_now()
            due_s = monotonic_s() + UPKEEP_S
        if supervisor in ready:
            return
        if arrived in ready:
            numbers = set(arrived.recv(1024))
            if numbers & ending:
                return
            if signal.SIGHUP in numbers:
                serving.reloader.wake()


def keep_up_or_say(node: Node) -> None:
    """Keep the node up; what cannot be done now, for example on a full disk, is tried again later."""
    try:
        keep_up(node)
    except GatewayError as error:
        node.metrics.state.upkeep_failures.labels("own").inc()
        _log.error("upkeep failed and is tried again", problem=str(error.__cause__ or error))


@dataclass(frozen=True)
class Worker:
    """One of several processes that serve a node together (``node/supervise.py``)."""

    slot: int
    """From 0. Slot 0 serves the open page of the log, which cannot share its port, and carries changes of
    keys forward."""
    token: str
    """What all workers ask of callers on the operator port."""


def start(folder: NodeFolder, clock: Clock = system_clock, worker: Worker | None = None) -> Serving:
    """Start listening and return; the caller holds the node's lock. Raises as :func:`serve`."""
    is_first = worker is None or worker.slot == 0
    node = assemble(folder, clock)
    _start_telemetry(node)
    _require_presence(node)
    _require_not_rolled_back(node)
    limits, health = _limits(node, shares_port=worker is not None), Health()
    guard = Guard(
        lambda: node.snapshot,
        node.metrics,
        clock,
        node.config.limits.threads,
        node.heard_from,
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
        web, web_thread = _serve_metrics(listen.metrics if worker is None else "127.0.0.1:0", node)
        page = _log_server(node) if is_first else None
    except Exception:
        node.close()
        raise
    running = RunningNode(_pid(), _with_port(listen.peers, port), listen.operator, listen.metrics)
    calls = LocalCalls(announce(folder, running) if worker is None else worker.token)
    services = {
        ARCHIVE_SERVICE: ArchiveServicer(
            lambda: node.snapshot, lambda: node.asking, calls, exports_of(node)
        ).rpcs(),
        OPERATOR_SERVICE: OperatorServicer(lambda: node.snapshot, node.operating, calls).rpcs(),
    }
    operator, _ = operator_server(services, listen.operator, health, shares_port=worker is not None)
    reloader = Reloader(node)
    loops: list[Reloader | Retranslator | Rotator] = [reloader, Retranslator(node)]
    if is_first:
        loops.append(Rotator(node, reloader.reload_if_changed))
    timings = TimingKeeper(node.metrics.timings, node.log, clock)
    failed = node.metrics.state.upkeep_failures.labels("peers").inc
    rounds = PeerRounds(_rounds(node, is_first=is_first), node.config.audit.cosign_s, failed)
    keep_up(node)
    for part in (peers, operator, rounds, timings, *loops):
        part.start()
    if page is not None:
        page.start()
    health.set_serving(True)
    _log.info("serving", node=node.config.node.id, peers=running.peers, card_serial=node.card.serial)

    def stop() -> None:
        _log.info("draining", node=node.config.node.id)
        for loop in loops:
            loop.stop()
        health.set_serving(False)
        guard.drain(ANNOUNCE_S, node.config.limits.drain_s)
        drain(peers, health, GRACE_S).wait()
        for last in (rounds, timings, page):
            if last is not None:
                last.stop()
        operator.stop(1).wait()
        web.shutdown()
        web.server_close()
        web_thread.join(timeout=5)
        if worker is None:
            withdraw(folder)
        node.close()
        _log.info("stopped", node=node.config.node.id)

    return Serving(node, running, reloader, web.server_port, stop)


def _rounds(node: Node, *, is_first: bool) -> tuple[Callable[[], object], ...]:
    """Return what is done with the peers again and again: all of it by the worker that leads.

    What the peers' cards say is asked for by the first worker's rotator; the others read what it wrote.
    """
    notices, revocations = node.operating.notices, node.operating.revocations

    def lead(work: Callable[[], object], else_: Callable[[], object] = lambda: None) -> Callable[[], object]:
        return lambda: work() if node.upkeep.is_held() else else_()

    def read_epochs() -> None:
        if not is_first:
            node.cards.heard.update(read_heard(node.folder))
            node.hear_epochs()

    return (
        read_epochs,
        lead(node.witnessing.round, node.witnessing.hear),
        lambda: node.probing.round(node.snapshot.roster),
        lead(node.record_changes.round),
        lead(node.credential_status.round),
        lead(lambda: notices.deliver(node.snapshot)),
        lead(lambda: revocations.round(node.snapshot)),
    )


def _start_telemetry(node: Node) -> None:
    """Write log lines, and send spans if node.toml says where to. Raises ``ConfigError``."""
    configure(node.config.log.level)
    telemetry = node.config.telemetry
    if not telemetry.otlp_endpoint:
        return
    try:
        stop = tracing.start(telemetry.otlp_endpoint, telemetry.sample_ratio, node.config.node.id)
    except ConfigError:
        node.close()
        raise
    node.on_close(stop)


def _require_presence(node: Node) -> None:
    """Refuse to serve while somebody works on the node's database alone.

    Raises:
        AlreadyRunningError: somebody does.
    """
    if not node.presence.is_held():
        node.close()
        raise AlreadyRunningError(
            "somebody works on this node's database alone, for example to rotate a key.",
            remedy="Start again when that has ended.",
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
    if answered or not node.snapshot.roster.peers:
        node.log.resume()


def _log_server(node: Node) -> LogServer | None:
    """Return the open page with the log and the witness, if there is to be one."""
    address = node.config.audit.listen
    if address is None:
        return None
    foreign = [NoteVerifier.from_vkey(vkey) for vkey in node.config.audit.witnessed_logs]

    def verifiers() -> dict[str, Verifiers]:
        peers = [peer.card.live_log_verifiers(node.clock()) for peer in node.snapshot.roster.peers.values()]
        return {known[0].name: known for known in (*((one,) for one in foreign), *filter(None, peers))}

    pages = CredentialPages(node.exporting.credentials)
    return LogServer(LogPage(node.log, node.witness, verifiers, pages), address)


def keep_up(node: Node) -> None:
    """Refresh the gauges that follow from databases, forget expired message ids, renew the TLS leaf."""
    node.metrics.build.labels(__version__).set(1)
    for work in ("own", "peers"):
        node.metrics.state.upkeep_failures.labels(work)
    node.metrics.log_entries.set_function(lambda: node.log.size)
    node.log.refresh()
    node.observing.refresh(node.snapshot.roster)
    node.presence.is_held()  # taken again after the database was away
    if node.upkeep.is_held():
        node.metrics.records_held.set(node.registry.count())
        if node.steadiness.is_proved():
            node.log.purge_seen()
            forget_codes(node.log, node.clock())
            forget_use(node.log, node.clock())
        prepare_months(node.log, node.clock)
    if node.renew_leaf_if_due():
        _log.info("TLS leaf or card renewed", node=node.config.node.id)


def _limits(node: Node, *, shares_port: bool) -> ServerLimits:
    limits = node.config.limits
    return ServerLimits(
        threads=limits.threads,
        message_bytes_max=limits.message_bytes_max,
        streams_per_connection_max=limits.streams_per_connection_max,
        connection_age_ms_max=limits.connection_age_s_max * 1000,
        connection_idle_ms_max=limits.connection_idle_s_max * 1000,
        shares_port=shares_port,
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
