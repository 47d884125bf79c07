"""Around every handler of the peer port: TLS identity, load, rate, deadline in; error to status out.

Everything here happens before a signature is checked and costs little.
"""

from __future__ import annotations

import secrets
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from gateway.clock import Clock, monotonic_s
from gateway.errors import OperatorError, RefusedError
from gateway.exchange.answering.handlers import Handler, StreamHandler
from gateway.exchange.messages import IncomingCall, Snapshot
from gateway.peers.roster import Peer
from gateway.peers.tls_identity import TlsIdentities
from gateway.policy.rates import CallRates
from gateway.rpc.let_go import let_go
from gateway.rpc.methods import DEADLINE_S_MAX, DEADLINE_S_MIN, Method
from gateway.rpc.status import status_of
from gateway.telemetry import tracing
from gateway.telemetry.events import logger
from gateway.telemetry.metrics import ANSWERING, UNKNOWN, Metrics

UNVERIFIED = frozenset({"INVALID_SIGNATURE", "UNKNOWN_KEY", "PEER_IDENTITY_MISMATCH"})

_log = logger("guard")


@dataclass
class Guard:
    """Lets a call through to its handler, or refuses it."""

    snapshot: Callable[[], Snapshot]
    metrics: Metrics
    clock: Clock
    calls_at_once_max: int
    heard_from: Callable[[str], None] = lambda _node_id: None
    """Told the node id of each peer that calls: it lives."""
    rates: CallRates = field(default_factory=CallRates)
    """How often each peer has called."""

    def __post_init__(self) -> None:
        """Prepare the counters."""
        self._identities = TlsIdentities()
        self._slots = threading.BoundedSemaphore(self.calls_at_once_max)
        self._streams_max = max(1, self.calls_at_once_max // 4)
        self._streams: Counter[str] = Counter()
        self._streams_lock = threading.Lock()
        self._is_draining = False

    def drain(self, announce_s: float, drain_s: float) -> None:
        """Refuse new calls with ``SHUTTING_DOWN`` and wait for those in flight.

        Returns when all have ended, ``announce_s`` later at the earliest, ``drain_s`` later at the
        latest. Stopping the server at once would cancel calls that arrive meanwhile, and their
        callers could not tell whether they had been accepted.
        """
        self._is_draining = True
        end_s = monotonic_s() + drain_s
        threading.Event().wait(announce_s)
        for _ in range(self.calls_at_once_max):
            if not self._slots.acquire(timeout=max(0.0, end_s - monotonic_s())):
                return

    def wrap(self, method: Method, handler: Handler) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        """Return ``handler`` as grpcio wants it."""

        def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
            peer: Peer | None = None
            try:
                snapshot = self.snapshot()
                peer = self._identify(context, snapshot)
                with (
                    tracing.server(method.name, context.invocation_metadata(), peer=peer.node_id),
                    self._admitted(context, peer, snapshot) as deadline_at_s,
                ):
                    call = IncomingCall(method.name, peer, self.clock(), deadline_at_s)
                    return handler(request, call, snapshot)
            except Exception as error:  # noqa: BLE001 - what is not ours must not reach the peer
                status = self._status_of(method, peer, error)
                let_go(error)
            context.abort_with_status(status)
            raise AssertionError("abort_with_status returned")

        return handle

    def wrap_stream(
        self, method: Method, handler: StreamHandler
    ) -> Callable[[bytes, grpc.ServicerContext], Iterator[bytes]]:
        """Return ``handler`` as grpcio wants it.

        grpcio takes the next response when the last one has gone: HTTP/2's flow control reaches the
        generator. A reader that is too slow holds its thread until its deadline; streams have a
        quarter of the threads, and one peer at most half of that.
        """

        def handle(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            peer: Peer | None = None
            try:
                snapshot = self.snapshot()
                peer = self._identify(context, snapshot)
                with (
                    self._admitted(context, peer, snapshot) as deadline_at_s,
                    self._one_stream_more(peer.node_id),
                ):
                    call = IncomingCall(method.name, peer, self.clock(), deadline_at_s)
                    yield from handler(request, call, snapshot)
                return
            except Exception as error:  # noqa: BLE001 - what is not ours must not reach the peer
                status = self._status_of(method, peer, error)
                let_go(error)
            context.abort_with_status(status)

        return handle

    @contextmanager
    def _one_stream_more(self, peer: str) -> Iterator[None]:
        with self._streams_lock:
            is_room = self._streams.total() < self._streams_max
            if not is_room or self._streams[peer] >= max(1, self._streams_max // 2):
                raise RefusedError("OVERLOADED", "too many answers in bulk at once.", retry_after_s=2.0)
            self._streams[peer] += 1
        self.metrics.state.bulk_in_flight.inc()
        try:
            yield
        finally:
            self.metrics.state.bulk_in_flight.dec()
            with self._streams_lock:
                self._streams[peer] -= 1

    @contextmanager
    def _admitted(self, context: grpc.ServicerContext, peer: Peer, snapshot: Snapshot) -> Iterator[float]:
        """One call among those that are answered at once; yields its deadline on the monotonic clock."""
        if self._is_draining:
            raise RefusedError("SHUTTING_DOWN", "this node is stopping.", retry_after_s=5.0)
        deadline_at_s = _require_deadline(context)
        self.rates.admit_call(peer.node_id, snapshot.access.calls_per_second(peer.node_id))
        if not self._slots.acquire(blocking=False):
            raise RefusedError("OVERLOADED", "too many calls at once.", retry_after_s=1.0)
        self.metrics.in_flight.inc()
        try:
            yield deadline_at_s
        except RefusedError as refused:
            if refused.reason in UNVERIFIED:
                self.rates.count_failure(peer.node_id)
            raise
        finally:
            self.metrics.in_flight.dec()
            self._slots.release()

    def _identify(self, context: grpc.ServicerContext, snapshot: Snapshot) -> Peer:
        facts: Mapping[str, Iterable[bytes]] = context.auth_context()  # type: ignore[assignment]
        version = b"".join(facts.get("ssl_tls_version", ())).decode("ascii", "replace")
        if version != "TLSv1.3":
            raise RefusedError("TLS_TOO_OLD", "TLS 1.3 is needed.", details={"version": version or "none"})
        leaf = b"".join(facts.get("x509_pem_cert", ()))
        peer = self._identities.prove(leaf, snapshot.roster, self.clock())
        self.heard_from(peer.node_id)
        return peer

    def _status_of(self, method: Method, peer: Peer | None, error: Exception) -> Any:
        """Return what the peer is told of ``error``; a defect is logged under an incident number."""
        if not isinstance(error, RefusedError):
            return status_of(incident_of(error, method.name))
        self._note(method, peer, error)
        return status_of(error)

    def _note(self, method: Method, peer: Peer | None, refused: RefusedError) -> None:
        """Count refusals that never reached the eight steps, which count their own."""
        if hasattr(refused, "signed"):
            return
        label = self.metrics.peer(peer.node_id) if peer is not None else UNKNOWN
        outcome = self.metrics.outcome(refused.reason)
        self.metrics.exchanges.labels(ANSWERING, label, self.metrics.method(method.name), outcome).inc()
        self.metrics.refusals.labels(label, outcome).inc()


def incident_of(defect: Exception, method: str) -> RefusedError:
    """Log where a defect arose, without the values it holds, and return what the caller may know."""
    incident = secrets.token_hex(8)
    _log.error(
        "defect",
        incident=incident,
        method=method,
        kind=type(defect).__name__,
        # Written for the operator, and never with what a message holds: a hardware module that is gone.
        problem=str(defect) if isinstance(defect, OperatorError) else "",
        places=[
            f"{frame.filename.rsplit('gateway/', 1)[-1]}:{frame.lineno}"
            for frame in traceback.extract_tb(defect.__traceback__)
        ],
    )
    return RefusedError("INTERNAL", "a defect of this node.", details={"incident": incident})


def _require_deadline(context: grpc.ServicerContext) -> float:
    """Return the call's deadline on the monotonic clock, seconds."""
    left_s = context.time_remaining()
    limits = {"deadlineSecondsMax": str(DEADLINE_S_MAX)}
    if left_s is None or left_s > 10 * 365 * 24 * 3600:
        raise RefusedError("DEADLINE_MISSING", "the call has no deadline.", details=limits)
    if left_s > DEADLINE_S_MAX + 1:  # the clock runs while the call travels
        raise RefusedError("DEADLINE_TOO_LONG", "the deadline is too far away.", details=limits)
    if left_s < DEADLINE_S_MIN:
        raise RefusedError("DEADLINE_TOO_SHORT", "too little time is left to begin.")
    return monotonic_s() + left_s
