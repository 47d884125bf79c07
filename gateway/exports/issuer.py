"""Who issues credentials: the node, under a key of its own, named by ``did:web`` or ``did:key``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.exports.published_contexts import OWN_PATH, OWN_WITHOUT_DOMAIN
from gateway.signing.multibase import multikey

STATUS_PATH = "/credentials/status"
DID_PATH = "/.well-known/did.json"


@dataclass(frozen=True)
class Issuer:
    """One node as an issuer of credentials."""

    node_id: str
    names: Mapping[str, str]
    """Names for people by language tag."""
    key: Ed25519PrivateKey
    domain: str = ""
    """Host, with its port if it is not 443, under which the open page is reached over HTTPS; may be empty."""
    past_keys: Sequence[str] = ()
    """Public keys as multibase that signed before ``key`` did; what they signed goes on to verify."""

    def __repr__(self) -> str:
        """Hide the key."""
        return f"Issuer({self.node_id!r})"

    @property
    def key_name(self) -> str:
        """The public key as multibase."""
        return multikey(self.key.public_key())

    @property
    def did(self) -> str:
        """``did:web`` of the domain, else ``did:key`` (nothing to look up, nothing that says who)."""
        return f"did:web:{quote(self.domain, safe='')}" if self.domain else f"did:key:{self.key_name}"

    @property
    def verification_method(self) -> str:
        """URL of the key within the DID's document."""
        return self._method(self.key_name)

    def _method(self, key_name: str) -> str:
        return f"{self.did}#{key_name}"

    @property
    def own_context(self) -> str:
        """Address of the context of this project's terms."""
        return f"https://{self.domain}{OWN_PATH}" if self.domain else OWN_WITHOUT_DOMAIN

    def status_list(self, purpose: str, number: int) -> str:
        """Return the address of a status list; empty without a domain."""
        return f"https://{self.domain}{STATUS_PATH}/{purpose}/{number}" if self.domain else ""

    def name(self) -> str:
        """Return the node's name, in Chinese and English where it has both."""
        return " / ".join(dict.fromkeys(self.names.values())) or self.node_id

    def profile(self) -> dict[str, Any]:
        """Return the issuer as credentials state it (Open Badges 3.0, Profile)."""
        return {"id": self.did, "type": ["Profile"], "name": self.name()}

    def secret_for(self, use: str) -> bytes:
        """Return a secret of 32 bytes that follows from the key, for one use only."""
        raw = self.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return sha256(b"credit-exchange/" + use.encode() + b"\0" + raw).digest()

    def did_document(self) -> dict[str, Any]:
        """Return the document that ``did:web`` resolves to (W3C DID Core; did:web method)."""
        names = [self.key_name, *self.past_keys]
        return {
            "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
            "id": self.did,
            "alsoKnownAs": [f"did:key:{self.key_name}"],
            "verificationMethod": [
                {
                    "id": self._method(name),
                    "type": "Multikey",
                    "controller": self.did,
                    "publicKeyMultibase": name,
                }
                for name in names
            ],
            "assertionMethod": [self._method(name) for name in names],
        }
