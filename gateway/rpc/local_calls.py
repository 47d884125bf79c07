"""Calls on the operator port: who may call, what errors become, and how the command line calls."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
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
            except (CallerError, EnvelopeError) as error:
                code, text = grpc.StatusCode.INVALID_ARGUMENT, str(error)
            except PermissionError as error:
                code, text = grpc.StatusCode.UNAUTHENTICATED, str(error)
            except GatewayError as error:
                code, text = grpc.StatusCode.FAILED_PRECONDITION, str(error)
            except Exception as defect:  # noqa: BLE001 - what is not ours must not reach the caller
                refused = incident_of(defect, kind.__name__)
                code, text = grpc.StatusCode.INTERNAL, f"incident {refused.details['incident']}"
            context.abort(code, text)
            raise AssertionError("abort returned")

        return handle

    def _require_token(self, context: grpc.ServicerContext) -> None:
        presented = dict(context.invocation_metadata()).get(TOKEN_METADATA, b"")
        text = presented.decode("ascii", "replace") if isinstance(presented, bytes) else presented
        if not hmac.compare_digest(text.encode(), f"Bearer {self.token}".encode()):
            raise PermissionError("the operator token is needed; it stands in the node's run/ folder.")


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
            status = rpc_status.from_call(error)
            text = status.message if status is not None else error.details() or error.code().name
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise CallerError(text) from error
            raise GatewayError(f"the node did not do it: {text}") from error
        return parse(kind, response, "response")
