"""Step 1, open: find the claimed peer's key, verify the exact bytes, only then parse."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import Message

from creditexchange.v1.envelope_pb2 import Header, SignedMessage
from gateway.errors import EnvelopeError, RefusedError
from gateway.exchange.messages import DIGEST_BYTES, ID_BYTES, SEQUENCE_MAX, IncomingCall, Opened
from gateway.peers.roster import Peer, Roster
from gateway.signing.envelope import open_envelope, parse, parse_strictly
from gateway.signing.suites import VerifyingKey

P = TypeVar("P", bound=Message)


def read_unsigned(kind: type[P], request: bytes) -> P:
    """Return an unsigned request: mutual TLS says who asks, and no field of it is unknown.

    Raises:
        RefusedError: ``MALFORMED_MESSAGE``.
    """
    try:
        return parse_strictly(kind, request, "request")
    except EnvelopeError as error:
        raise error.refusal() from error


def open_message(
    call: IncomingCall, message: SignedMessage, kind: type[P], type_: str, roster: Roster
) -> Opened[P]:
    """Return the payload of ``message`` after its signature verified under a known peer's key.

    Raises:
        RefusedError: ``MALFORMED_MESSAGE``, ``WRONG_PAYLOAD_TYPE``, ``UNKNOWN_KEY``,
            ``INVALID_SIGNATURE`` or ``PEER_IDENTITY_MISMATCH``.
    """
    signers: list[Peer] = []

    def find_key(key_id: str) -> VerifyingKey | None:
        owner = roster.owner_of(key_id)
        key = owner.message_key(key_id, call.received_at) if owner is not None else None
        if owner is not None and key is not None:
            signers.append(owner)
        return key

    try:
        opened = open_envelope(message, type_, find_key)
        payload = parse(kind, opened.payload, "payload")
    except EnvelopeError as error:
        raise error.refusal() from error
    if any(signer is not signers[0] for signer in signers):
        raise RefusedError("PEER_IDENTITY_MISMATCH", "the signatures are by keys of different nodes.")
    header: Header = payload.header  # type: ignore[attr-defined]
    _require_header(header)
    return Opened(call, message, payload, header, signers[0], opened.digest)


def _require_header(header: Header) -> None:
    """Refuse a header that lacks a required member."""
    problem = ""
    if header.protocol_version < 1:
        problem = "header.protocol_version"
    elif len(header.message_id) != ID_BYTES:
        problem = "header.message_id"
    elif len(header.exchange_id) != ID_BYTES:
        problem = "header.exchange_id"
    elif not 1 <= header.pair_sequence <= SEQUENCE_MAX:
        problem = "header.pair_sequence"
    elif not header.sender:
        problem = "header.sender"
    elif not (header.HasField("issue_time") and header.HasField("expire_time")):
        problem = "header.issue_time, header.expire_time"
    elif not _is_year_plausible(header):
        problem = "header.issue_time"
    elif len(header.request_digest) not in (0, DIGEST_BYTES):
        problem = "header.request_digest"
    if problem:
        raise RefusedError(
            "MALFORMED_MESSAGE", f"{problem} is missing or malformed.", details={"field": problem}
        )


def _is_year_plausible(header: Header) -> bool:
    """Whether both instants can be told apart from garbage: 2020 to 2200, whole nanoseconds."""
    return all(
        1_577_836_800 <= stamp.seconds < 7_258_118_400 and 0 <= stamp.nanos < 1_000_000_000
        for stamp in (header.issue_time, header.expire_time)
    )
