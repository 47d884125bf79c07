"""The one table of signature suites. The algorithm belongs to the key, never to the message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from gateway.errors import EnvelopeError

KEY_ID_PREFIX = "sha256:"


@dataclass(frozen=True, slots=True)
class Suite:
    """How keys of one type sign and verify; ``signature_bytes`` is the only length accepted."""

    name: str
    public_type: type[Any]
    private_type: type[Any]
    signature_bytes: int
    generate: Callable[[], Any]
    sign: Callable[[Any, bytes], bytes]
    verify: Callable[[Any, bytes, bytes], None]
    """Takes key, signature, data; raises ``InvalidSignature``."""


SUITES = (
    Suite(
        name="ed25519",
        public_type=Ed25519PublicKey,
        private_type=Ed25519PrivateKey,
        signature_bytes=64,
        generate=Ed25519PrivateKey.generate,
        sign=lambda key, data: key.sign(data),
        verify=lambda key, signature, data: key.verify(signature, data),
    ),
)
"""Every suite, RFC 8032 Ed25519 first. A key of any other type is refused."""


def key_id(spki: bytes) -> str:
    """Return the key id: ``sha256:`` and the hexadecimal SHA-256 of the DER SubjectPublicKeyInfo."""
    return KEY_ID_PREFIX + sha256(spki).hexdigest()


@dataclass(frozen=True)
class VerifyingKey:
    """A public key with the suite that belongs to it."""

    suite: Suite
    public: Any
    spki: bytes
    key_id: str

    @classmethod
    def from_spki(cls, spki: bytes) -> VerifyingKey:
        """Read a DER SubjectPublicKeyInfo.

        Raises:
            EnvelopeError: ``MALFORMED_MESSAGE`` when it is not one, or of no known suite.
        """
        try:
            public = load_der_public_key(spki)
        except (ValueError, TypeError) as error:
            raise EnvelopeError("MALFORMED_MESSAGE", "a key is no DER SubjectPublicKeyInfo.") from error
        except Exception as error:  # UnsupportedAlgorithm has no common base with ValueError
            raise EnvelopeError("MALFORMED_MESSAGE", "a key is of an unsupported type.") from error
        return cls.from_public(public)

    @classmethod
    def from_public(cls, public: Any) -> VerifyingKey:
        """Wrap a public key of the ``cryptography`` package; same errors as :meth:`from_spki`."""
        for suite in SUITES:
            if isinstance(public, suite.public_type):
                spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                return cls(suite, public, spki, key_id(spki))
        raise EnvelopeError("MALFORMED_MESSAGE", "a key is of an unsupported type.")

    def verify(self, signature: bytes, data: bytes) -> None:
        """Return if ``signature`` is this key's over ``data``.

        Raises:
            EnvelopeError: ``INVALID_SIGNATURE``.
        """
        if len(signature) != self.suite.signature_bytes:
            raise EnvelopeError("INVALID_SIGNATURE", "a signature has the wrong length.")
        try:
            self.suite.verify(self.public, signature, data)
        except InvalidSignature as error:
            raise EnvelopeError("INVALID_SIGNATURE", "a signature does not verify.") from error


@dataclass(frozen=True)
class SigningKey:
    """A private key with the suite that belongs to it."""

    suite: Suite
    private: Any

    @classmethod
    def generate(cls, suite: Suite = SUITES[0]) -> SigningKey:
        """Make a new key."""
        return cls(suite, suite.generate())

    @classmethod
    def from_private(cls, private: Any) -> SigningKey:
        """Wrap a private key of the ``cryptography`` package.

        Raises:
            EnvelopeError: ``MALFORMED_MESSAGE`` when no suite knows its type.
        """
        for suite in SUITES:
            if isinstance(private, suite.private_type):
                return cls(suite, private)
        raise EnvelopeError("MALFORMED_MESSAGE", "a private key is of an unsupported type.")

    @cached_property
    def verifying(self) -> VerifyingKey:
        """The public half."""
        return VerifyingKey.from_public(self.private.public_key())

    @property
    def key_id(self) -> str:
        """Key id of the public half."""
        return self.verifying.key_id

    def sign(self, data: bytes) -> bytes:
        """Return the raw signature over ``data``."""
        return self.suite.sign(self.private, data)
