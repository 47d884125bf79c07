"""Calls on the operator port: who may call, and what errors become."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from gateway.errors import CallerError, EnvelopeError, GatewayError
from gateway.rpc.guard import incident_of
from gateway.rpc.let_go import let_go
from gateway.rpc.local_clients import TOKEN_METADATA
from gateway.signing.envelope import parse
from gateway.telemetry.events import logger

Q = TypeVar("Q", bound=Message)

_log = logger("local calls")

LocalRpc = Callable[[bytes, grpc.ServicerContext], bytes]


@dataclass(frozen=True)
class LocalStream:
    """A handler that answers with a stream."""

    handle: Callable[[bytes, grpc.ServicerContext], Iterator[bytes]]


LocalRpcs = Mapping[str, LocalRpc | LocalStream]
"""Handlers of one service by method name."""


class _NoTokenError(Exception):
    """The caller did not show the operator token. No ``PermissionError``: the system raises those too."""


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
                let_go(error)
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
                let_go(error)
            context.abort(*status)

        return LocalStream(handle)

    def _require_token(self, context: grpc.ServicerContext) -> None:
        presented = dict(context.invocation_metadata()).get(TOKEN_METADATA, b"")
        text = presented.decode("ascii", "replace") if isinstance(presented, bytes) else presented
        if not hmac.compare_digest(text.encode(), f"Bearer {self.token}".encode()):
            raise _NoTokenError("the operator token is needed; it stands in the node's run/ folder.")


def _status_of(error: Exception, request: str) -> tuple[grpc.StatusCode, str]:
    """Return code and text for what went wrong, which is logged; a defect under an incident number."""
    if isinstance(error, CallerError | EnvelopeError):
        # Not its text: that may repeat what the caller wrote.
        _log.info("a local call was refused", request=request, kind=type(error).__name__)
        return grpc.StatusCode.INVALID_ARGUMENT, str(error)
    if isinstance(error, _NoTokenError):
        _log.warning("a local call was refused", request=request, kind="OperatorToken")
        return grpc.StatusCode.UNAUTHENTICATED, str(error)
    if isinstance(error, GatewayError):
        _log.warning("a local call failed", request=request, problem=str(error))
        return grpc.StatusCode.FAILED_PRECONDITION, str(error)
    incident = incident_of(error, request).details["incident"]
    return grpc.StatusCode.INTERNAL, f"incident {incident}"
