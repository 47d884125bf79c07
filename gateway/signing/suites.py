"""The one table of signature suites. The algorithm belongs to the key, never to the message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from gateway.errors import EnvelopeError, SuiteUnavailableError
from gateway.signing import sm2
from gateway.signing.dss_der import require_canonical

KEY_ID_PREFIX = "sha256:"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
DER_SIGNATURE_BYTES = range(8, 73)
"""Lengths of DER of two integers up to 256 bits."""


class PrivateKey(Protocol):
    """What a key of any source offers: a file's, or one that never leaves its hardware module."""

    def public_key(self) -> Any:
        """Return the public half."""

    @property
    def sign(self) -> Callable[..., bytes]:
        """What signs data; the suite knows its further arguments."""


@dataclass(frozen=True, slots=True)
class Suite:
    """How keys of one type sign and verify."""

    name: str
    """Name in configuration, on the command line and in documents."""
    is_public: Callable[[Any], bool]
    signature_bytes: range
    """Lengths of a signature that are accepted."""
    generate: Callable[[], Any]
    sign: Callable[[Any, bytes], bytes]
    verify: Callable[[Any, bytes, bytes], None]
    """Takes key, signature, data; raises ``InvalidSignature``."""

    @property
    def is_compact(self) -> bool:
        """Whether a signature fits where room is short: a Refusal in status details, a log's checkpoint."""
        return self.signature_bytes.stop <= DER_SIGNATURE_BYTES.stop


def _verify_p256(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> None:
    require_canonical(signature, P256_ORDER)
    key.verify(signature, data, ec.ECDSA(SHA256()))


ED25519 = Suite(
    name="ed25519",
    is_public=lambda key: isinstance(key, Ed25519PublicKey),
    signature_bytes=range(64, 65),
    generate=Ed25519PrivateKey.generate,
    sign=lambda key, data: key.sign(data),
    verify=lambda key, signature, data: key.verify(signature, data),
)
ECDSA_P256 = Suite(
    name="ecdsa-p256",
    is_public=lambda key: isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1),
    signature_bytes=DER_SIGNATURE_BYTES,
    generate=lambda: ec.generate_private_key(ec.SECP256R1()),
    sign=lambda key, data: key.sign(data, ec.ECDSA(SHA256())),
    verify=_verify_p256,
)
SM2 = Suite(
    name="sm2",
    is_public=lambda key: isinstance(key, sm2.Sm2PublicKey),
    signature_bytes=DER_SIGNATURE_BYTES,
    generate=sm2.Sm2PrivateKey.generate,
    sign=lambda key, data: key.sign(data),
    verify=lambda key, signature, data: key.verify(signature, data),
)
ML_DSA_65 = Suite(
    name="ml-dsa-65",
    is_public=lambda key: isinstance(key, MLDSA65PublicKey),
    signature_bytes=range(3309, 3310),
    generate=MLDSA65PrivateKey.generate,
    sign=lambda key, data: key.sign(data),
    verify=lambda key, signature, data: key.verify(signature, data),
)

SUITES = (ED25519, ECDSA_P256, SM2, ML_DSA_65)
"""Every suite: RFC 8032; FIPS 186-5 with SHA-256; GB/T 32918.2 with SM3; FIPS 204. Other keys are refused."""
SUITES_BY_NAME = {suite.name: suite for suite in SUITES}


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
    required_suites: frozenset[str] = field(default=frozenset(), compare=False)
    """Suites of which a signature must verify on every message by this key's owner; see ``envelope``."""

    @classmethod
    def from_spki(cls, spki: bytes) -> VerifyingKey:
        """Read a DER SubjectPublicKeyInfo.

        Raises:
            EnvelopeError: ``MALFORMED_MESSAGE`` when it is not one, not canonical, or of no known suite.
            SuiteUnavailableError: it is an SM2 key and the system's OpenSSL cannot be used.
        """
        try:
            is_sm2 = spki.startswith(sm2.SPKI_PREFIX)
            public = sm2.Sm2PublicKey.from_spki(spki) if is_sm2 else load_der_public_key(spki)
        except (ValueError, TypeError) as error:
            raise EnvelopeError("MALFORMED_MESSAGE", "a key is no DER SubjectPublicKeyInfo.") from error
        except UnsupportedAlgorithm as error:
            raise EnvelopeError("MALFORMED_MESSAGE", "a key is of an unsupported type.") from error
        key = cls.from_public(public)
        if key.spki != spki:  # a compressed point, for example: one key would have several ids
            raise EnvelopeError("MALFORMED_MESSAGE", "a key is not in the canonical form.")
        return key

    @classmethod
    def from_public(cls, public: Any) -> VerifyingKey:
        """Wrap a public key of the ``cryptography`` package or of ``sm2``; errors as :meth:`from_spki`."""
        for suite in SUITES:
            if suite.is_public(public):
                spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                return cls(suite, public, spki, key_id(spki))
        raise EnvelopeError("MALFORMED_MESSAGE", "a key is of an unsupported type.")

    def verify(self, signature: bytes, data: bytes) -> None:
        """Return if ``signature`` is this key's over ``data``.

        Raises:
            EnvelopeError: ``INVALID_SIGNATURE``.
        """
        if len(signature) not in self.suite.signature_bytes:
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
        """Make a new key. Raises ``SuiteUnavailableError`` where this machine cannot compute the suite."""
        try:
            return cls(suite, suite.generate())
        except UnsupportedAlgorithm as error:
            raise SuiteUnavailableError(
                f"the installed cryptography package lacks {suite.name}.",
                remedy="Install its wheel, or use another signature suite.",
            ) from error

    @classmethod
    def from_private(cls, private: Any) -> SigningKey:
        """Wrap a private key of the ``cryptography`` package, of ``sm2`` or of a hardware module.

        Raises:
            EnvelopeError: ``MALFORMED_MESSAGE`` when no suite knows its type.
        """
        return cls(VerifyingKey.from_public(private.public_key()).suite, private)

    @cached_property
    def verifying(self) -> VerifyingKey:
        """The public half."""
        return VerifyingKey.from_public(self.private.public_key())

    @property
    def key_id(self) -> str:
        """Key id of the public half."""
        return self.verifying.key_id

    def sign(self, data: bytes) -> bytes:
        """Return the signature over ``data`` in the suite's form."""
        return self.suite.sign(self.private, data)


def suites_of(keys: Sequence[VerifyingKey]) -> frozenset[str]:
    """Return the names of the suites of ``keys``."""
    return frozenset(key.suite.name for key in keys)
