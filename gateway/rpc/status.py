"""The one mapping between our errors and ``google.rpc.Status``, in both directions."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from creditexchange.v1.envelope_pb2 import SignedMessage
from creditexchange.v1.reason_pb2 import Reason
from gateway.errors import PeerFaultError, RefusedError
from gateway.exchange.answering.refuse import SignedRefusalError
from gateway.peers.caller import RefusalDetails, RefusedByPeerError

DOMAIN = "creditexchange.v1"
DETAILS_BYTES_MAX = 4 * 1024
"""gRPC drops larger trailers at random."""

CODES: dict[str, grpc.StatusCode] = {
    "MALFORMED_MESSAGE": grpc.StatusCode.INVALID_ARGUMENT,
    "WRONG_PAYLOAD_TYPE": grpc.StatusCode.INVALID_ARGUMENT,
    "UNSUPPORTED_VERSION": grpc.StatusCode.FAILED_PRECONDITION,
    "UNKNOWN_KEY": grpc.StatusCode.UNAUTHENTICATED,
    "INVALID_SIGNATURE": grpc.StatusCode.UNAUTHENTICATED,
    "UNKNOWN_PEER": grpc.StatusCode.UNAUTHENTICATED,
    "PEER_IDENTITY_MISMATCH": grpc.StatusCode.PERMISSION_DENIED,
    "PEER_SUSPENDED": grpc.StatusCode.PERMISSION_DENIED,
    "CARD_EXPIRED": grpc.StatusCode.FAILED_PRECONDITION,
    "WRONG_AUDIENCE": grpc.StatusCode.INVALID_ARGUMENT,
    "WRONG_METHOD": grpc.StatusCode.INVALID_ARGUMENT,
    "CLOCK_SKEW": grpc.StatusCode.FAILED_PRECONDITION,
    "MESSAGE_EXPIRED": grpc.StatusCode.FAILED_PRECONDITION,
    "WINDOW_TOO_LONG": grpc.StatusCode.INVALID_ARGUMENT,
    "REPLAYED_MESSAGE": grpc.StatusCode.PERMISSION_DENIED,
    "ISSUED_BEFORE_START": grpc.StatusCode.FAILED_PRECONDITION,
    "EXCHANGE_CONFLICT": grpc.StatusCode.ALREADY_EXISTS,
    "RATE_EXCEEDED": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "OVERLOADED": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "DEADLINE_MISSING": grpc.StatusCode.INVALID_ARGUMENT,
    "DEADLINE_TOO_LONG": grpc.StatusCode.INVALID_ARGUMENT,
    "DEADLINE_TOO_SHORT": grpc.StatusCode.DEADLINE_EXCEEDED,
    "UNKNOWN_PURPOSE": grpc.StatusCode.INVALID_ARGUMENT,
    "UNKNOWN_KIND": grpc.StatusCode.INVALID_ARGUMENT,
    "PURPOSE_NOT_GRANTED": grpc.StatusCode.PERMISSION_DENIED,
    "KIND_NOT_GRANTED": grpc.StatusCode.PERMISSION_DENIED,
    "CONSENT_REQUIRED": grpc.StatusCode.PERMISSION_DENIED,
    "CONSENT_INVALID": grpc.StatusCode.PERMISSION_DENIED,
    "UNKNOWN_EPOCH": grpc.StatusCode.FAILED_PRECONDITION,
    "TOO_MANY_SUBJECTS": grpc.StatusCode.INVALID_ARGUMENT,
    "COMMITMENT_MISMATCH": grpc.StatusCode.INVALID_ARGUMENT,
    "AUDIT_UNAVAILABLE": grpc.StatusCode.UNAVAILABLE,
    "SOURCE_UNAVAILABLE": grpc.StatusCode.UNAVAILABLE,
    "SHUTTING_DOWN": grpc.StatusCode.UNAVAILABLE,
    "ANSWER_TOO_LARGE": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "TLS_TOO_OLD": grpc.StatusCode.UNAUTHENTICATED,
    "INTERNAL": grpc.StatusCode.INTERNAL,
    "UNKNOWN_LOG": grpc.StatusCode.NOT_FOUND,
    "CHECKPOINT_UNSIGNED": grpc.StatusCode.PERMISSION_DENIED,
    "CHECKPOINT_OUTDATED": grpc.StatusCode.ABORTED,
    "CHECKPOINT_INCONSISTENT": grpc.StatusCode.FAILED_PRECONDITION,
    "SIZE_OUT_OF_RANGE": grpc.StatusCode.OUT_OF_RANGE,
    "QUOTA_EXCEEDED": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "CODE_INVALID": grpc.StatusCode.PERMISSION_DENIED,
}
"""The gRPC code of every reason. A test proves this, the enum and docs/protocol.md equal."""

_CODES_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}
_REASONS = frozenset(name.removeprefix("REASON_") for name in Reason.keys())  # noqa: SIM118


def status_of(refused: RefusedError) -> Any:
    """Return the refusal as what ``context.abort_with_status`` takes."""
    code = CODES[refused.reason]
    status = status_pb2.Status(code=code.value[0], message=refused.message)
    info = error_details_pb2.ErrorInfo(reason=refused.reason, domain=DOMAIN, metadata=refused.details)
    status.details.add().Pack(info)
    if refused.retry_after_s is not None:
        delay = Duration()
        delay.FromMilliseconds(int(refused.retry_after_s * 1000))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    if isinstance(refused, SignedRefusalError) and refused.signed is not None:
        signed = AnyMessage()
        signed.Pack(refused.signed)
        if status.ByteSize() + signed.ByteSize() <= DETAILS_BYTES_MAX:
            status.details.append(signed)
    return rpc_status.to_status(status)


def fault_of(error: grpc.RpcError, timeout_s: float) -> PeerFaultError:
    """Return what a failed call to a peer means for the asking side."""
    details = _refusal_details(error)
    if details is not None:
        return RefusedByPeerError(details)
    code = error.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return PeerFaultError(
            "NO_ANSWER",
            f"no answer within {timeout_s:g} s.",
            remedy="Ask again later, or with a longer deadline.",
        )
    # A server that ends cancels what reached it too late to be refused; we cancel no call ourselves.
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return unreachable(
            "the connection to the peer broke, or it does not accept this node's TLS certificate."
        )
    return PeerFaultError("BAD_STATUS", f"the peer answered {code.name} without a reason.")


def unreachable(message: str) -> PeerFaultError:
    """Return the fault of a peer to whom there is no connection, or whose connection broke."""
    remedy = "Run `credit-gateway peers check`: it says which side must mend what."
    return PeerFaultError("UNREACHABLE", message, remedy=remedy)


def _refusal_details(error: grpc.RpcError) -> RefusalDetails | None:
    """Read our details out of a status; ``None`` when it holds none that we know."""
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        return None
    if status is None or status.code not in _CODES_BY_NUMBER:
        return None
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    signed = SignedMessage()
    found = {detail.type_url.rsplit("/", 1)[-1] for detail in status.details}
    try:
        for detail in status.details:
            for target in (info, retry, signed):
                if detail.Is(target.DESCRIPTOR):
                    detail.Unpack(target)
        delay = retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None
    except (DecodeError, ValueError, OverflowError):  # also a delay that no calendar has
        return None
    if info.domain != DOMAIN or info.reason not in _REASONS:
        return None
    return RefusalDetails(
        reason=info.reason,
        message=status.message[:512],
        metadata=tuple(sorted((k[:64], v[:256]) for k, v in info.metadata.items())),
        signed=signed if signed.DESCRIPTOR.full_name in found else None,
        retry_after_s=delay.total_seconds() if delay is not None else None,
    )
