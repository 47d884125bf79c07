"""Long-lived channels to peers. One a peer and endpoint, as long as its card stays the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from gateway.clock import monotonic_s
from gateway.errors import PeerFaultError
from gateway.peers.node_ca import tls_name
from gateway.peers.roster import Peer
from gateway.rpc.methods import DEADLINE_S_MAX
from gateway.rpc.status import fault_of

KEEPALIVE_MS = 60_000
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


class Channels:
    """Calls peers over mutual TLS; implements :class:`gateway.peers.caller.PeerCaller`.

    A channel trusts the peer's own CA and nobody else's, and expects the peer's own TLS name.
    gRPC's retries are off: the same signed bytes sent twice are a replay.
    """

    def __init__(self, leaf: Callable[[], TlsLeaf], message_bytes_max: int) -> None:
        self._leaf = leaf
        self._message_bytes_max = message_bytes_max
        self._lock = threading.Lock()
        self._channels: dict[tuple[str, str], _Open] = {}

    def call(self, peer: Peer, method: str, request: bytes, timeout_s: float) -> bytes:
        """See :meth:`gateway.peers.caller.PeerCaller.call`. Endpoints are tried in the card's order."""
        deadline_s = monotonic_s() + timeout_s
        fault: PeerFaultError | None = None
        for endpoint in peer.endpoints:
            left_s = deadline_s - monotonic_s()
            if left_s <= 0:
                break
            try:
                return self._call_endpoint(peer, endpoint, method, request, left_s)
            except grpc.RpcError as error:
                fault = fault_of(error, timeout_s)
                if fault.outcome != "UNREACHABLE":
                    raise fault from error
        raise fault or PeerFaultError("NO_ANSWER", f"no answer within {timeout_s:g} s.")

    def stream(self, peer: Peer, method: str, request: bytes, timeout_s: float) -> Iterator[bytes]:
        """See :meth:`gateway.peers.caller.PeerCaller.stream`. Endpoints are tried in the card's order,
        until one of them has answered anything.
        """
        deadline_s = monotonic_s() + timeout_s
        fault: PeerFaultError | None = None
        for endpoint in peer.endpoints:
            left_s = deadline_s - monotonic_s()
            if left_s <= 0:
                break
            opened = self._opened(peer, endpoint)
            stub: Any = opened.channel.unary_stream(method)  # bytes in, bytes out: no serialiser
            call = stub(request, timeout=left_s)
            has_answered = False
            try:
                for response in call:
                    has_answered = True
                    yield response
                return
            except grpc.RpcError as error:
                opened.has_failed = error.code() is grpc.StatusCode.UNAVAILABLE
                fault = fault_of(error, timeout_s)
                if has_answered or fault.outcome != "UNREACHABLE":
                    raise fault from error
            finally:
                call.cancel()  # nothing when it has ended; else the peer need not go on
        raise fault or PeerFaultError("NO_ANSWER", f"no answer within {timeout_s:g} s.")

    def forget(self, keep: Sequence[Peer]) -> None:
        """See :meth:`gateway.peers.caller.PeerCaller.forget`."""
        with self._lock:
            stale = [place for place, known in self._channels.items() if known.peer not in keep]
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

    def _call_endpoint(
        self, peer: Peer, endpoint: str, method: str, request: bytes, timeout_s: float
    ) -> bytes:
        opened = self._opened(peer, endpoint)
        call: Any = opened.channel.unary_unary(method)  # bytes in, bytes out: no serialiser
        try:
            response: bytes = call(request, timeout=timeout_s)
        except grpc.RpcError as error:
            opened.has_failed = error.code() is grpc.StatusCode.UNAVAILABLE
            raise
        return response

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
