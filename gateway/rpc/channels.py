"""Long-lived channels to peers. One a peer and endpoint, as long as its card stays the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from gateway.clock import monotonic_s
from gateway.errors import PeerFaultError
from gateway.peers.node_ca import tls_name
from gateway.peers.roster import Peer
from gateway.rpc.methods import DEADLINE_S_MAX
from gateway.rpc.status import fault_of, unreachable
from gateway.telemetry import tracing

KEEPALIVE_MS = 60_000
ENDPOINT_REST_S = 10.0
"""For how long an endpoint that could not be connected to stands behind the peer's others, seconds."""
STREAM_WINDOW_BYTES = 1024 * 1024
"""What may be under way to this node in one stream, bytes: 20 MB/s at a round trip of 50 ms."""


@dataclass(frozen=True)
class TlsLeaf:
    """This node's leaf with its key, PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        """Hide the key."""
        return "TlsLeaf(…)"


@dataclass
class _Open:
    """A channel to one endpoint of a peer whose card was as it is in ``peer``."""

    peer: Peer
    channel: grpc.Channel
    has_failed: bool = False
    """No connection, the last time: gRPC would refuse the next calls at once for some seconds, even
    though the peer may be back. The next call opens a new channel instead."""
    is_connected: threading.Event = field(default_factory=threading.Event)
    """Set from the first time on that there was a connection."""


class Channels:
    """Calls peers over mutual TLS; implements :class:`gateway.peers.caller.PeerCaller`.

    A channel trusts the peer's own CA and nobody else's, and expects the peer's own TLS name.
    gRPC's retries are off: the same signed bytes sent twice are a replay.
    """

    def __init__(
        self,
        leaf: Callable[[], TlsLeaf],
        message_bytes_max: int,
        heard_from: Callable[[str], None] = lambda _node_id: None,
    ) -> None:
        self._leaf = leaf
        self._message_bytes_max = message_bytes_max
        self._heard_from = heard_from
        """Told the node id of each peer that answered or refused: it lives."""
        self._lock = threading.Lock()
        self._channels: dict[tuple[str, str], _Open] = {}
        self._failed_at_s: dict[tuple[str, str], float] = {}

    def call(self, peer: Peer, method: str, request: bytes, timeout_s: float) -> bytes:
        """See :meth:`gateway.peers.caller.PeerCaller.call`.

        The request is handed to one connection only: that to the first endpoint which has one. Whoever wants
        to try another endpoint after that signs a new message.
        """
        end_s = monotonic_s() + timeout_s
        opened = self._connected(peer, end_s)
        call: Any = opened.channel.unary_unary(method)  # bytes in, bytes out: no serialiser
        try:
            response: bytes = call(
                request, timeout=max(0.0, end_s - monotonic_s()), metadata=tracing.outgoing()
            )
        except grpc.RpcError as error:
            raise self._fault_of(error, opened, timeout_s) from error
        self._heard_from(peer.node_id)
        return response

    def stream(self, peer: Peer, method: str, request: bytes, timeout_s: float) -> Iterator[bytes]:
        """See :meth:`gateway.peers.caller.PeerCaller.stream`; connects as :meth:`call` does."""
        end_s = monotonic_s() + timeout_s
        opened = self._connected(peer, end_s)
        stub: Any = opened.channel.unary_stream(method)  # bytes in, bytes out: no serialiser
        call = stub(request, timeout=max(0.0, end_s - monotonic_s()))
        try:
            for response in call:
                self._heard_from(peer.node_id)
                yield response
        except grpc.RpcError as error:
            raise self._fault_of(error, opened, timeout_s) from error
        finally:
            call.cancel()  # nothing when it has ended; else the peer need not go on

    def _fault_of(self, error: grpc.RpcError, opened: _Open, timeout_s: float) -> PeerFaultError:
        """Return what a failed call is called, after noting what it tells about connection and peer."""
        fault = fault_of(error, timeout_s)
        if fault.outcome == "UNREACHABLE":
            opened.has_failed = True
        elif fault.outcome != "NO_ANSWER":
            self._heard_from(opened.peer.node_id)
        return fault

    def forget(self, keep: Sequence[Peer]) -> None:
        """See :meth:`gateway.peers.caller.PeerCaller.forget`."""
        kept = {(peer.card.fingerprint, endpoint) for peer in keep for endpoint in peer.endpoints}
        with self._lock:
            stale = [
                place
                for place, known in self._channels.items()
                if (known.peer.card.fingerprint, place[1]) not in kept
            ]
            closing = [self._channels.pop(place).channel for place in stale]
        for channel in closing:
            _close_later(channel)

    def close(self) -> None:
        """Close every channel at once."""
        with self._lock:
            closing = [known.channel for known in self._channels.values()]
            self._channels.clear()
        for channel in closing:
            channel.close()

    def _connected(self, peer: Peer, end_s: float) -> _Open:
        """Return a channel that has, or had, a connection: to the first endpoint that can be connected to.

        Raises:
            PeerFaultError: ``UNREACHABLE``; nothing was sent.
        """
        endpoints = self._in_order(peer)
        for number, endpoint in enumerate(endpoints):
            opened = self._opened(peer, endpoint)
            share_s = (end_s - monotonic_s()) / (len(endpoints) - number)
            if opened.is_connected.is_set() or _connect(opened, share_s):
                return opened
            opened.has_failed = True
            self._failed_at_s[peer.node_id, endpoint] = monotonic_s()
        raise unreachable("no connection to the peer.")

    def _in_order(self, peer: Peer) -> list[str]:
        """Return the peer's endpoints in its card's order, those that failed just now at the end."""
        rests_from_s = monotonic_s() - ENDPOINT_REST_S
        return sorted(
            peer.endpoints, key=lambda one: self._failed_at_s.get((peer.node_id, one), 0.0) > rests_from_s
        )

    def _opened(self, peer: Peer, endpoint: str) -> _Open:
        place = (peer.node_id, endpoint)
        with self._lock:
            known = self._channels.get(place)
            is_same = known is not None and known.peer.card.fingerprint == peer.card.fingerprint
            if known is not None and is_same and not known.has_failed:
                return known
            leaf = self._leaf()
            channel = grpc.secure_channel(
                endpoint,
                grpc.ssl_channel_credentials(peer.card.ca_pem, leaf.key, leaf.certificate),
                options=_options(peer.node_id, self._message_bytes_max),
            )
            opened = self._channels[place] = _Open(peer, channel)
        if known is not None:
            _close_later(known.channel)
        return opened


def _connect(opened: _Open, timeout_s: float) -> bool:
    """Wait until the channel has a connection; false if that fails or takes longer than ``timeout_s``."""
    decided = threading.Event()

    def changed(state: grpc.ChannelConnectivity) -> None:
        if state is grpc.ChannelConnectivity.READY:
            opened.is_connected.set()
        if state in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE):
            decided.set()

    opened.channel.subscribe(changed, try_to_connect=True)
    try:
        decided.wait(max(0.0, timeout_s))
    finally:
        opened.channel.unsubscribe(changed)
    return opened.is_connected.is_set()


def _close_later(channel: grpc.Channel) -> None:
    """Close a channel once every call that may still run over it has met its deadline."""
    timer = threading.Timer(DEADLINE_S_MAX, channel.close)
    timer.daemon = True
    timer.start()


def _options(node_id: str, message_bytes_max: int) -> list[tuple[str, str | int]]:
    return [
        ("grpc.ssl_target_name_override", tls_name(node_id)),
        ("grpc.default_authority", tls_name(node_id)),
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),  # a new channel does not inherit the old one's back-off
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_send_message_length", message_bytes_max),
        ("grpc.http2.bdp_probe", 0),  # it would let a stream that is not read fill many megabytes
        ("grpc.http2.lookahead_bytes", STREAM_WINDOW_BYTES),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.initial_reconnect_backoff_ms", 500),
        ("grpc.max_reconnect_backoff_ms", 10_000),
    ]
