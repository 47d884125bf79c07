"""Signed messages over exact bytes: seal and open. What is not verified is not parsed.

A message carries one signature for each message key of its sender. Which suites must verify is the
receiver's rule, and it travels with the keys that the receiver looks up
(``VerifyingKey.required_suites``): a signature that was stripped is missed wherever a message is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet

from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.errors import EnvelopeError
from gateway.signing.dsse import pre_authentication_encoding
from gateway.signing.suites import SUITES, SigningKey, Suite, VerifyingKey, suites_of

M = TypeVar("M", bound=Message)

SIGNATURES_MAX = 4
PAYLOAD_TYPE_BYTES_MAX = 128

PAYLOAD_TYPE_PREFIX = "application/vnd.creditexchange."


def payload_type(name: str) -> str:
    """Return the media type of the payload ``name``, for example ``record-query``."""
    return f"{PAYLOAD_TYPE_PREFIX}{name}.v1+protobuf"


REFUSAL_TYPE = payload_type("refusal")
"""Refusals travel in status details of 4 KiB: only compact signatures are made and demanded."""


@dataclass(frozen=True, slots=True)
class OpenedEnvelope:
    """A message whose signatures verified; ``payload`` has not been parsed yet."""

    payload: bytes
    payload_type: str
    key_ids: tuple[str, ...]
    """Keys whose signatures were verified; at least one."""
    digest: bytes
    """SHA-256 over the signed bytes, 32 bytes."""


def seal(payload: bytes, type_: str, keys: Sequence[SigningKey]) -> SignedMessage:
    """Sign ``payload`` of payload type ``type_`` with every key of ``keys`` that this type takes."""
    signed = pre_authentication_encoding(type_, payload)
    message = SignedMessage(payload=payload, payload_type=type_)
    for key in keys:
        if not _takes(type_, key.suite):
            continue
        message.signatures.add(key_id=key.key_id, signature=key.sign(signed))
    return message


def signed_digest(message: SignedMessage) -> bytes:
    """Return SHA-256 over the bytes that ``message``'s signatures cover."""
    return sha256(pre_authentication_encoding(message.payload_type, message.payload)).digest()


def open_envelope(
    message: SignedMessage, expected_type: str, find_key: Callable[[str], VerifyingKey | None]
) -> OpenedEnvelope:
    """Verify every signature whose key is known; at least one must be there, and all required suites.

    ``find_key`` returns the key that may sign this message under an id, or ``None``. Signatures of
    keys that it does not know are passed over.

    Raises:
        EnvelopeError: ``MALFORMED_MESSAGE``, ``WRONG_PAYLOAD_TYPE``, ``UNKNOWN_KEY`` or
            ``INVALID_SIGNATURE``.
    """
    _require_form(message)
    if message.payload_type != expected_type:
        raise EnvelopeError(
            "WRONG_PAYLOAD_TYPE",
            "the payload type does not belong to this method.",
            payloadType=message.payload_type,
            expected=expected_type,
        )
    known = [(s, key) for s in message.signatures if (key := find_key(s.key_id)) is not None]
    if not known:
        raise EnvelopeError("UNKNOWN_KEY", "no signature is by a key that an accepted card lists.")
    signed = pre_authentication_encoding(message.payload_type, message.payload)
    for signature, key in known:
        key.verify(signature.signature, signed)
    _require_suites([key for _, key in known], expected_type)
    return OpenedEnvelope(
        payload=message.payload,
        payload_type=message.payload_type,
        key_ids=tuple(key.key_id for _, key in known),
        digest=sha256(signed).digest(),
    )


def instant(stamp: Timestamp, what: str) -> datetime:
    """Return the instant that ``stamp`` states; protobuf carries times that no calendar has.

    Raises:
        EnvelopeError: ``MALFORMED_MESSAGE``; ``what`` names it.
    """
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise EnvelopeError("MALFORMED_MESSAGE", f"{what} is no time.", field=what) from error


def parse(kind: type[M], data: bytes, what: str) -> M:
    """Parse ``data`` as ``kind``; ``what`` names it in the error.

    Raises:
        EnvelopeError: ``MALFORMED_MESSAGE``; the parser's own text never leaves.
    """
    message = kind()
    try:
        message.ParseFromString(data)
    except (DecodeError, ValueError) as error:
        raise EnvelopeError("MALFORMED_MESSAGE", f"{what} does not parse.", field=what) from error
    return message


def parse_strictly(kind: type[M], data: bytes, what: str) -> M:
    """Parse ``data`` and refuse unknown fields: one that is not understood may restrict.

    Raises:
        EnvelopeError: ``MALFORMED_MESSAGE``.
    """
    message = parse(kind, data, what)
    _require_known_fields(message, what)
    return message


def _require_known_fields(message: Message, what: str) -> None:
    if len(UnknownFieldSet(message)):
        raise EnvelopeError("MALFORMED_MESSAGE", f"{what} holds an unknown field.", field=what)
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in value if field.is_repeated else (value,):
            _require_known_fields(part, what)


def _takes(type_: str, suite: Suite) -> bool:
    return suite.is_compact or type_ != REFUSAL_TYPE


def _require_suites(verified: Sequence[VerifyingKey], type_: str) -> None:
    required = frozenset().union(*(key.required_suites for key in verified))
    demanded = {suite.name for suite in SUITES if suite.name in required and _takes(type_, suite)}
    missing = sorted(demanded - suites_of(verified))
    if missing:
        raise EnvelopeError(
            "INVALID_SIGNATURE",
            f"a signature of {', '.join(missing)} is missing.",
            missingSuites=" ".join(missing),
        )


def _require_form(message: SignedMessage) -> None:
    if not message.payload:
        raise EnvelopeError("MALFORMED_MESSAGE", "the payload is empty.", field="payload")
    if len(message.payload_type) > PAYLOAD_TYPE_BYTES_MAX or not message.payload_type.isascii():
        raise EnvelopeError("MALFORMED_MESSAGE", "the payload type is not ASCII.", field="payload_type")
    ids = [s.key_id for s in message.signatures]
    if not 1 <= len(ids) <= SIGNATURES_MAX:
        raise EnvelopeError("MALFORMED_MESSAGE", "one to four signatures are needed.", field="signatures")
    if len(set(ids)) != len(ids):
        raise EnvelopeError("MALFORMED_MESSAGE", "two signatures name one key.", field="signatures")
