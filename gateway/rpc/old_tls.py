"""One gRPC call over TLS 1.2, which no gRPC library lets one choose."""

from __future__ import annotations

import socket
import ssl
import tempfile
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from gateway.peers.node_ca import tls_name
from gateway.rpc.channels import TlsLeaf
from gateway.rpc.raw_peer import RawReply

TIMEOUT_S = 10.0
_NAMES = {0: "OK", 7: "PERMISSION_DENIED", 14: "UNAVAILABLE", 16: "UNAUTHENTICATED"}


def call_over_tls_1_2(
    endpoint: str, node_id: str, ca_pem: bytes, leaf: TlsLeaf, method: str, request: bytes
) -> RawReply:
    """Send ``request`` over TLS 1.2; ``UNAVAILABLE`` without reason means that the handshake was refused."""
    host, port = endpoint.rsplit(":", 1)
    headers: dict[str, str] = {}
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S) as plain,
            _context(ca_pem, leaf).wrap_socket(plain, server_hostname=tls_name(node_id)) as connection,
        ):
            headers = _exchange(connection, tls_name(node_id), method, request)
    except (OSError, ProtocolError) as error:
        return RawReply("UNAVAILABLE", text=type(error).__name__)
    return _reply_of(headers)


def _context(ca_pem: bytes, leaf: TlsLeaf) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    context.set_alpn_protocols(["h2"])
    with tempfile.TemporaryDirectory() as folder:  # the ssl module takes keys from files alone; mode 0700
        path = Path(folder) / "leaf.pem"
        path.write_bytes(leaf.key + leaf.certificate)
        context.load_cert_chain(path)
    return context


def _exchange(connection: ssl.SSLSocket, authority: str, method: str, request: bytes) -> dict[str, str]:
    """Send one unary call and return the headers and trailers that came."""
    http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    http.initiate_connection()
    stream = http.get_next_available_stream_id()
    names = {":method": "POST", ":scheme": "https", ":authority": authority, ":path": method}
    names |= {"content-type": "application/grpc", "te": "trailers", "grpc-timeout": "10S"}
    http.send_headers(stream, list(names.items()))
    http.send_data(stream, b"\0" + len(request).to_bytes(4, "big") + request, end_stream=True)
    connection.sendall(http.data_to_send())
    headers: dict[str, str] = {}
    while data := connection.recv(65_536):
        events = http.receive_data(data)
        headers |= _headers_of(events)
        with suppress(OSError):
            connection.sendall(http.data_to_send())
        if any(isinstance(event, (StreamEnded, StreamReset, ConnectionTerminated)) for event in events):
            break
    return headers


def _headers_of(events: list[Event]) -> dict[str, str]:
    found: dict[str, str] = {}
    for event in events:
        if isinstance(event, (ResponseReceived, TrailersReceived)):
            found |= {str(name): str(value) for name, value in event.headers or ()}
    return found


def _reply_of(headers: Mapping[str, str]) -> RawReply:
    if "grpc-status" not in headers:
        return RawReply("UNAVAILABLE", text="the connection was closed")
    number = headers["grpc-status"]
    code = _NAMES.get(int(number) if number.isdigit() else -1, f"status {number[:8]}")
    info = error_details_pb2.ErrorInfo()
    with suppress(DecodeError, ValueError):
        packed = status_pb2.Status.FromString(_decoded(headers.get("grpc-status-details-bin", "")))
        for detail in packed.details:
            detail.Unpack(info)
    return RawReply(code, reason=info.reason, domain=info.domain, metadata=dict(info.metadata))


def _decoded(text: str) -> bytes:
    """Decode the base64 of a binary header, whose padding may be left out."""
    return b64decode(text + "=" * (-len(text) % 4))
