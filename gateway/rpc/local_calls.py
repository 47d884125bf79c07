"""Calls on the operator port: who may call, what errors become, and how the command line calls."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Generator, Iterator, Mapping
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


@dataclass(frozen=True)
class LocalStream:
    """A handler that answers with a stream."""

    handle: Callable[[bytes, grpc.ServicerContext], Iterator[bytes]]


LocalRpcs = Mapping[str, LocalRpc | LocalStream]
"""Handlers of one service by method name."""

CALL_S_MAX = 600.0
"""Longest call on the operator port, seconds: an erasure may have to rewrite tables."""
RESPONSE_BYTES_MAX = 64 * 1024 * 1024
"""Largest response on the operator port: an exported document may be large."""
_OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", RESPONSE_BYTES_MAX)]
TOKEN_METADATA = "authorization"  # noqa: S105 - the name of a header


@dataclass(frozen=True)
class LocalCalls:
    """Guards the operator port; ``token`` is what a caller must present."""

    token: str

    def guarded(self, kind: type[Q], handler: Callable[[Q], Message]) -> LocalRpc:
        """Return ``handler`` as grpcio wants it, behind the token."""

        def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                self._require_token(context)
                return handler(parse(kind, request, "request")).SerializeToString()
            except Exception as error:  # noqa: BLE001 - what is not ours must not reach the caller
                status = _status_of(error, kind.__name__)
            context.abort(*status)
            raise AssertionError("abort returned")

        return handle

    def guarded_stream(self, kind: type[Q], handler: Callable[[Q], Iterator[Message]]) -> LocalStream:
        """Return ``handler``, whose answer is a stream, as :meth:`guarded` does."""

        def handle(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            try:
                self._require_token(context)
                for event in handler(parse(kind, request, "request")):
                    yield event.SerializeToString()
                return
            except Exception as error:  # noqa: BLE001 - what is not ours must not reach the caller
                status = _status_of(error, kind.__name__)
            context.abort(*status)

        return LocalStream(handle)

    def _require_token(self, context: grpc.ServicerContext) -> None:
        presented = dict(context.invocation_metadata()).get(TOKEN_METADATA, b"")
        text = presented.decode("ascii", "replace") if isinstance(presented, bytes) else presented
        if not hmac.compare_digest(text.encode(), f"Bearer {self.token}".encode()):
            raise PermissionError("the operator token is needed; it stands in the node's run/ folder.")


def _status_of(error: Exception, method: str) -> tuple[grpc.StatusCode, str]:
    """Return code and text for what went wrong; a defect is logged under an incident number."""
    if isinstance(error, CallerError | EnvelopeError):
        return grpc.StatusCode.INVALID_ARGUMENT, str(error)
    if isinstance(error, PermissionError):
        return grpc.StatusCode.UNAUTHENTICATED, str(error)
    if isinstance(error, GatewayError):
        return grpc.StatusCode.FAILED_PRECONDITION, str(error)
    incident = incident_of(error, method).details["incident"]
    return grpc.StatusCode.INTERNAL, f"incident {incident}"


class LocalClient:
    """Calls one service of a running node."""

    service: str

    def __init__(self, address: str, token: str) -> None:
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
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
            raise _error_of(error) from error
        return parse(kind, response, "response")

    def stream(self, name: str, request: Message, kind: type[Q]) -> Generator[Q]:
        """Call one method that answers with a stream, and yield what comes; raises as :meth:`call`.

        Closing the generator ends the call.
        """
        call: Any = self._channel.unary_stream(f"/{self.service}/{name}")
        events = call(request.SerializeToString(), timeout=CALL_S_MAX, metadata=self._metadata)
        try:
            for event in events:
                yield parse(kind, event, "event")
        except grpc.RpcError as error:
            raise _error_of(error) from error
        finally:
            events.cancel()


def _error_of(error: grpc.RpcError) -> GatewayError:
    status = rpc_status.from_call(error)
    text = status.message if status is not None else error.details() or error.code().name
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
        return CallerError(text)
    return GatewayError(f"the node did not do it: {text}")
