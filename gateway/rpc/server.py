"""The peer port and the operator port: build, health, reflection, drain."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gateway.errors import AlreadyRunningError
from gateway.exchange.answering.handlers import Handler, StreamHandler
from gateway.rpc.channels import TlsLeaf
from gateway.rpc.guard import Guard
from gateway.rpc.local_calls import LocalRpcs, LocalStream
from gateway.rpc.local_clients import ARCHIVE_SERVICE, OPERATOR_SERVICE
from gateway.rpc.methods import METHODS, declared_methods

PEER_SERVICES = tuple(dict.fromkeys(method.name.split("/")[1] for method in METHODS))
OPERATOR_THREADS = 8
SPARE_THREADS = 4
"""Threads beyond the calls that are answered at once: they refuse the rest without delay."""


@dataclass(frozen=True)
class ServerLimits:
    """Limits of the peer port (docs/operations.md lists them with their traps)."""

    threads: int = 16
    """Calls answered at once."""
    message_bytes_max: int = 256 * 1024
    streams_per_connection_max: int = 64
    metadata_bytes_max: int = 8 * 1024
    handshake_ms_max: int = 5_000
    connection_age_ms_max: int = 600_000
    connection_age_grace_ms: int = 35_000
    """Longer than the longest deadline, so that no accepted call dies of old age."""
    connection_idle_ms_max: int = 300_000
    shares_port: bool = False
    """Whether other workers of this node listen on the same port (SO_REUSEPORT)."""


class Health:
    """What the standard health service says of this node."""

    def __init__(self) -> None:
        # Non-blocking: a watcher would otherwise pin one thread of the pool for ever.
        self.servicer = health.HealthServicer(experimental_non_blocking=True)

    def set_serving(self, serving: bool) -> None:
        """Report the node, and its services, as serving or not."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for service in ("", *PEER_SERVICES, ARCHIVE_SERVICE, OPERATOR_SERVICE):
            self.servicer.set(service, status)


def peer_server(
    guard: Guard,
    handlers: Mapping[str, Handler],
    limits: ServerLimits,
    health_state: Health,
    streams: Mapping[str, StreamHandler] = MappingProxyType({}),
) -> grpc.Server:
    """Build the server for peers; :func:`add_peer_port` gives it its port."""
    served = set(handlers) | set(streams)
    if declared_methods() != {method.name for method in METHODS} or served != declared_methods():
        raise AssertionError("an RPC of the contract has no row in METHODS or no handler")
    server = grpc.server(
        ThreadPoolExecutor(limits.threads + SPARE_THREADS, "answering"),
        maximum_concurrent_rpcs=(limits.threads + SPARE_THREADS) * 4,
        options=_limit_options(limits),
    )
    for service in PEER_SERVICES:
        rpcs: dict[str, Any] = {
            method.name.rsplit("/", 1)[1]: grpc.unary_stream_rpc_method_handler(
                guard.wrap_stream(method, streams[method.name])
            )
            if method.name in streams
            else grpc.unary_unary_rpc_method_handler(guard.wrap(method, handlers[method.name]))
            for method in METHODS
            if method.name.startswith(f"/{service}/")
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, rpcs),))
    health_pb2_grpc.add_HealthServicer_to_server(health_state.servicer, server)
    return server


def add_peer_port(server: grpc.Server, address: str, tls: Callable[[], tuple[TlsLeaf, bytes]]) -> int:
    """Bind ``address`` with mutual TLS and return the port.

    ``tls`` returns the present leaf and all peers' CAs, PEM. It must return the very same tuple
    while nothing changed: grpcio crashes when handed a new configuration at every handshake.

    Raises:
        AlreadyRunningError: the port is taken.
    """
    return _bind(address, lambda: server.add_secure_port(address, _server_credentials(tls)))


def operator_server(
    services: Mapping[str, LocalRpcs],
    address: str,
    health_state: Health,
    *,
    shares_port: bool = False,
) -> tuple[grpc.Server, int]:
    """Build and bind the loopback server: ``services`` by name, health, reflection.

    ``shares_port`` says that other workers of this node listen on the same port.

    Raises:
        AlreadyRunningError: the port is taken.
    """
    server = grpc.server(
        ThreadPoolExecutor(OPERATOR_THREADS, "operator"),
        maximum_concurrent_rpcs=OPERATOR_THREADS * 4,
        options=[("grpc.so_reuseport", int(shares_port)), ("grpc.max_concurrent_streams", 32)],
    )
    for service, rpcs in services.items():
        handlers: dict[str, Any] = {
            name: grpc.unary_stream_rpc_method_handler(rpc.handle)
            if isinstance(rpc, LocalStream)
            else grpc.unary_unary_rpc_method_handler(rpc)
            for name, rpc in rpcs.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    health_pb2_grpc.add_HealthServicer_to_server(health_state.servicer, server)
    names = (*services, *PEER_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server, _bind(address, lambda: server.add_insecure_port(address))


def is_serving(address: str, timeout_s: float) -> bool:
    """Whether the node whose operator port is ``address`` says that it serves."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        try:
            reply = check(health_pb2.HealthCheckRequest(), timeout=timeout_s, wait_for_ready=True)
        except grpc.RpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def drain(server: grpc.Server, health_state: Health, grace_s: float) -> threading.Event:
    """Stop accepting calls and let those in flight end; returns the event that says it is done."""
    health_state.set_serving(False)
    stopped: threading.Event = server.stop(grace_s)
    return stopped


def _bind(address: str, add: Callable[[], int]) -> int:
    try:
        port = add()
    except RuntimeError as error:
        raise AlreadyRunningError(
            f"the address {address} cannot be listened on.",
            remedy="Another program has the port, or the address is not this machine's. "
            "Stop it, or change [listen] in node.toml.",
        ) from error
    return port


def _server_credentials(tls: Callable[[], tuple[TlsLeaf, bytes]]) -> grpc.ServerCredentials:
    """Mutual TLS whose leaf and trusted CAs follow ``tls`` without a restart."""
    current = tls()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal current
        latest = tls()
        if latest is current:
            return None
        current = latest
        return _configuration(latest)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(current),
        changed,  # type: ignore[arg-type]  # None means "unchanged"; the stubs do not know it
        require_client_authentication=True,
    )


def _configuration(tls: tuple[TlsLeaf, bytes]) -> grpc.ServerCertificateConfiguration:
    leaf, peer_cas = tls
    return grpc.ssl_server_certificate_configuration([(leaf.key, leaf.certificate)], peer_cas or None)


def _limit_options(limits: ServerLimits) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", int(limits.shares_port)),
        ("grpc.max_receive_message_length", limits.message_bytes_max),
        ("grpc.max_send_message_length", limits.message_bytes_max),
        ("grpc.max_concurrent_streams", limits.streams_per_connection_max),
        ("grpc.max_metadata_size", limits.metadata_bytes_max),
        ("grpc.absolute_max_metadata_size", limits.metadata_bytes_max),
        ("grpc.server_handshake_timeout_ms", limits.handshake_ms_max),
        ("grpc.max_connection_age_ms", limits.connection_age_ms_max),
        ("grpc.max_connection_age_grace_ms", limits.connection_age_grace_ms),
        ("grpc.max_connection_idle_ms", limits.connection_idle_ms_max),
        ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
        ("grpc.keepalive_permit_without_calls", 0),
    ]
