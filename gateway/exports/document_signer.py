"""The key that signs documents for people (XML, PDF): P-256, with a certificate of the node's own CA.

Ed25519 is what credentials want and what few readers of XML signatures and PDF know. The CA is the one
in the node's card, so that who has the card can tell whose document it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class DocumentSigner:
    """A private key with its certificate and the certificates above it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    authorities: Sequence[x509.Certificate]

    def __repr__(self) -> str:
        """Hide the key."""
        return "DocumentSigner(…)"

    @property
    def chain(self) -> list[Any]:
        """The certificate and those above it, in that order."""
        return [self.certificate, *self.authorities]
