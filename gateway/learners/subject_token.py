"""The keyed pseudonym under which a learner is looked up. Raw identifiers never travel."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from gateway.learners.identifier import normalise

TOKEN_BYTES = 32
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class FederationSecret:
    """The secret that all nodes of a federation share for one epoch."""

    epoch: str
    key: bytes

    def __repr__(self) -> str:
        """Name the epoch and hide the key."""
        return f"FederationSecret(epoch={self.epoch!r})"


def subject_token(secret: FederationSecret, identifier_type: str, identifier: str) -> bytes:
    """Return HMAC-SHA-256(secret, identifier type || 0x00 || normalised identifier), 32 bytes.

    Raises:
        gateway.learners.identifier.IdentifierError: the identifier is malformed.
    """
    message = identifier_type.encode() + b"\x00" + normalise(identifier_type, identifier).encode()
    return hmac.new(secret.key, message, "sha256").digest()
