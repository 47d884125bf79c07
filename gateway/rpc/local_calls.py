"""Calls on the operator port: who may call, what errors become, and how the command line calls."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from grpc_status import rpc_status

from gateway.errors import CallerError, EnvelopeError, GatewayError
from gateway.rpc.guard import incident_of
from gateway.signing.envelope import parse

Q = TypeVar("Q", bound=Message)

LocalRpc = Callable[[bytes, grpc.ServicerContext], bytes]
LocalRpcs = Mapping[str, LocalRpc]
"""Handlers of one service by method name."""

LocalStream = Callable[[bytes, grpc.ServicerContext], Iterator[bytes]]
LocalStreams = Mapping[str, LocalStream]
"""The same for methods that answer with a stream."""

CALL_S_MAX = 600.0
"""Longest call on the operator port, seconds: an erasure may have to rewrite tables."""
TOKEN_METADATA = "authorization"  # noqa: S105 - the name of a header


@dataclass(frozen=True)
class LocalCalls:
    """Guards the operator port; ``token`` is what a caller must present."""

    token: str

    def guarded(self, kind: type[Q], handler: Callable[[Q], bytes]) -> LocalRpc:
        """Return ``handler`` as grpcio wants it, behind the token."""

        def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                self._require_token(context)
                return handler(parse(kind, request, "request"))
            except Exception as error:  # noqa: BLE001 - what is not ours must not reach the caller
                code, text = _said(error, kind.__name__)
            context.abort(code, text)
            raise AssertionError("abort returned")

        return handle

    def guarded_stream(self, kind: type[Q], handler: Callable[[Q], Iterator[bytes]]) -> LocalStream:
        """Return ``handler``, which yields responses, as grpcio wants it, behind the token."""

        def handle(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            try:
                self._require_token(context)
                yield from handler(parse(kind, request, "request"))
                return
            except Exception as error:  # noqa: BLE001 - what is not ours must not reach the caller
                code, text = _said(error, kind.__name__)
            context.abort(code, text)

        return handle

    def _require_token(self, context: grpc.ServicerContext) -> None:
        presented = dict(context.invocation_metadata()).get(TOKEN_METADATA, b"")
        text = presented.decode("ascii", "replace") if isinstance(presented, bytes) else presented
        if not hmac.compare_digest(text.encode(), f"Bearer {self.token}".encode()):
            raise PermissionError("the operator token is needed; it stands in the node's run/ folder.")


def _said(error: Exception, method: str) -> tuple[grpc.StatusCode, str]:
    """Return what the caller is told of ``error``."""
    if isinstance(error, CallerError | EnvelopeError):
        return grpc.StatusCode.INVALID_ARGUMENT, str(error)
    if isinstance(error, PermissionError):
        return grpc.StatusCode.UNAUTHENTICATED, str(error)
    if isinstance(error, GatewayError):
        return grpc.StatusCode.FAILED_PRECONDITION, str(error)
    return grpc.StatusCode.INTERNAL, f"incident {incident_of(error, method).details['incident']}"


class LocalClient:
    """Calls one service of a running node."""

    service: str

    def __init__(self, address: str, token: str) -> None:
        self._channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self._metadata = ((TOKEN_METADATA, f"Bearer {token}"),)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def call(self, name: str, request: Message, kind: type[Q]) -> Q:
        """Call one method.

        Raises:
            CallerError: an argument is wrong.
            GatewayError: the node cannot be reached or cannot do it.
        """
        call: Any = self._channel.unary_unary(f"/{self.service}/{name}")
        try:
            response = call(request.SerializeToString(), timeout=CALL_S_MAX, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _heard(error) from error
        return parse(kind, response, "response")

    def stream(self, name: str, request: Message, kind: type[Q]) -> Iterator[Q]:
        """Call one method that answers with a stream; raises as :meth:`call`, also after some responses."""
        stub: Any = self._channel.unary_stream(f"/{self.service}/{name}")
        call = stub(request.SerializeToString(), timeout=CALL_S_MAX, metadata=self._metadata)
        try:
            for response in call:
                yield parse(kind, response, "response")
        except grpc.RpcError as error:
            raise _heard(error) from error
        finally:
            call.cancel()


def _heard(error: grpc.RpcError) -> GatewayError:
    """Return what the caller is told of a call that failed."""
    status = rpc_status.from_call(error)
    text = status.message if status is not None else error.details() or error.code().name
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
        return CallerError(text)
    return GatewayError(f"the node did not do it: {text}")
