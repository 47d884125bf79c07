"""Calls a node with exactly the bytes and the TLS leaf that are given: nothing is checked or repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.peers.node_ca import tls_name
from gateway.rpc.channels import TlsLeaf

SENT_BYTES_MAX = 4 * 1024 * 1024
"""What may be sent here, so that the other side's limit is the one that is met."""


@dataclass(frozen=True, slots=True)
class RawReply:
    """What came back, as it came. Nothing of it is verified."""

    code: str
    """Name of the gRPC status code; ``OK`` with an answer."""
    body: bytes = b""
    bodies: tuple[bytes, ...] = ()
    """All responses of a stream; ``body`` is the last one then."""
    text: str = ""
    reason: str = ""
    """``ErrorInfo.reason``; empty when the status has no details."""
    domain: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    signed: SignedMessage | None = None
    """The signed refusal among the details."""
    retry_after_s: float | None = None


class RawPeer:
    """A connection to one endpoint that trusts ``ca_pem`` alone and shows ``leaf``, or no certificate."""

    def __init__(self, endpoint: str, node_id: str, ca_pem: bytes, leaf: TlsLeaf | None) -> None:
        pair = (leaf.key, leaf.certificate) if leaf is not None else (None, None)
        self._channel = grpc.secure_channel(
            endpoint, grpc.ssl_channel_credentials(ca_pem, *pair), options=_options(node_id)
        )

    def call(
        self,
        method: str,
        request: bytes,
        timeout_s: float | None,
        metadata: tuple[tuple[str, str], ...] = (),
        *,
        is_compressed: bool = False,
    ) -> RawReply:
        """Send ``request`` and return what comes; ``timeout_s`` is the call's deadline, ``None`` for none."""
        call: Any = self._channel.unary_unary(method)  # bytes in, bytes out: no serialiser
        how = grpc.Compression.Gzip if is_compressed else grpc.Compression.NoCompression
        try:
            return RawReply("OK", call(request, timeout=timeout_s, metadata=metadata, compression=how))
        except grpc.RpcError as error:
            return _reply_of(error)

    def stream(self, method: str, request: bytes, timeout_s: float | None) -> RawReply:
        """Send ``request`` to a method that answers with a stream; return all of it, or the status."""
        call: Any = self._channel.unary_stream(method)
        try:
            bodies = tuple(call(request, timeout=timeout_s))
        except grpc.RpcError as error:
            return _reply_of(error)
        return RawReply("OK", bodies[-1] if bodies else b"", bodies)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def _reply_of(error: grpc.RpcError) -> RawReply:
    code, text = error.code().name, (error.details() or "")[:512]
    info, retry, signed = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), SignedMessage()
    found = set()
    try:
        status = rpc_status.from_call(error)
        for detail in status.details if status is not None else ():
            for target in (info, retry, signed):
                if detail.Is(target.DESCRIPTOR):
                    detail.Unpack(target)
                    found.add(target.DESCRIPTOR.full_name)
        delay = retry.retry_delay.ToTimedelta() if retry.DESCRIPTOR.full_name in found else None
    except (ValueError, OverflowError, DecodeError):
        return RawReply(code, text=f"status and details contradict one another: {text}")
    return RawReply(
        code=code,
        text=text,
        reason=info.reason,
        domain=info.domain,
        metadata=dict(info.metadata),
        signed=signed if signed.DESCRIPTOR.full_name in found else None,
        retry_after_s=delay.total_seconds() if delay is not None else None,
    )


def _options(node_id: str) -> list[tuple[str, str | int]]:
    return [
        ("grpc.ssl_target_name_override", tls_name(node_id)),
        ("grpc.default_authority", tls_name(node_id)),
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", SENT_BYTES_MAX),
        ("grpc.max_send_message_length", SENT_BYTES_MAX),
        ("grpc.max_metadata_size", 1 << 20),
        ("grpc.absolute_max_metadata_size", 1 << 20),
    ]
