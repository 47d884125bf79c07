"""DSSE v1 (secure-systems-lab/dsse, protocol.md and envelope.md): what is signed, and its JSON form."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

from creditexchange.v1.envelope_pb2 import SignedMessage
from gateway.errors import EnvelopeError

ENVELOPE_JSON_BYTES_MAX = 1024 * 1024
"""Largest DSSE JSON text that is read."""


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return ``"DSSEv1" SP len(type) SP type SP len(payload) SP payload`` (protocol.md).

    Lengths count bytes, not characters.
    """
    encoded_type = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(encoded_type), encoded_type, len(payload), payload)


def to_json(message: SignedMessage) -> str:
    """Return ``message`` as a DSSE JSON envelope that other people's verifiers accept."""
    return json.dumps(
        {
            "payload": b64encode(message.payload).decode(),
            "payloadType": message.payload_type,
            "signatures": [
                {"keyid": s.key_id, "sig": b64encode(s.signature).decode()} for s in message.signatures
            ],
        },
        indent=2,
    )


def from_json(text: str | bytes) -> SignedMessage:
    """Read a DSSE JSON envelope. Nothing is verified yet.

    Raises:
        EnvelopeError: ``MALFORMED_MESSAGE`` when it is not one.
    """
    if len(text) > ENVELOPE_JSON_BYTES_MAX:
        raise EnvelopeError("MALFORMED_MESSAGE", "the envelope is larger than 1 MiB.")
    try:
        data = json.loads(text)
        message = SignedMessage(payload=_base64(data["payload"]), payload_type=data["payloadType"])
        for entry in data["signatures"]:
            message.signatures.add(key_id=entry.get("keyid", ""), signature=_base64(entry["sig"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EnvelopeError("MALFORMED_MESSAGE", "this is not a DSSE JSON envelope.") from error
    return message


def _base64(text: str) -> bytes:
    """Decode standard or URL-safe base64, as envelope.md asks; anything else is refused."""
    return b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
