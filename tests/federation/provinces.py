"""Invented provinces with real keys, for tests: each a card, a CA, leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.peers.card import Card, build_card, verify_card
from gateway.peers.node_ca import generate_tls_key, issue_leaf, make_ca
from gateway.peers.roster import ACTIVE, Peer
from gateway.signing.cosignature import CosignatureSigner
from gateway.signing.signed_note import NoteSigner
from gateway.signing.suites import SigningKey

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class Province:
    """One invented province."""

    node_id: str
    message_key: SigningKey = field(default_factory=SigningKey.generate)
    log_key: SigningKey = field(default_factory=SigningKey.generate)
    witness_key: SigningKey = field(default_factory=SigningKey.generate)
    ca_key: Any = field(default_factory=generate_tls_key)
    born: datetime = NOW
    endpoints: tuple[str, ...] = ("127.0.0.1:17000",)
    further_message_keys: tuple[SigningKey, ...] = ()

    def __post_init__(self) -> None:
        self.ca = make_ca(self.node_id, self.ca_key, self.born)

    @property
    def log_origin(self) -> str:
        return f"audit.{self.node_id}.example/2026"

    @property
    def witness(self) -> CosignatureSigner:
        return CosignatureSigner(f"audit.{self.node_id}.example/witness", self.witness_key.private)

    def card(self, **changes: Any) -> Card:
        return verify_card(self.card_message(**changes))

    def card_message(self, **changes: Any):
        facts: dict[str, Any] = {
            "node_id": self.node_id,
            "names": {"en": self.node_id.title()},
            "serial": 1,
            "issued": self.born,
            "expires": self.born + timedelta(days=365),
            "endpoints": self.endpoints,
            "message_key": self.message_key,
            "log_key": self.log_key,
            "cas": [self.ca],
            "log_origin": self.log_origin,
            "log_verifier_key": NoteSigner(self.log_origin, self.log_key.private).verifier.vkey,
            "witness_key": self.witness_key,
            "witness_verifier_key": self.witness.verifier.vkey,
            "scheme": None,
            "further_message_keys": self.further_message_keys,
        }
        return build_card(**(facts | changes))

    def peer(self, state: str = ACTIVE, **changes: Any) -> Peer:
        return Peer(self.card(**changes), state, self.born, self.endpoints)

    def leaf(
        self, *, name: str | None = None, now: datetime | None = None, days: int = 90
    ) -> x509.Certificate:
        key = generate_tls_key()
        return issue_leaf(
            name or self.node_id, key.public_key(), self.ca, self.ca_key, now=now or self.born, days=days
        )

    def leaf_with_key(self, name: str | None = None, now: datetime | None = None) -> tuple[bytes, bytes]:
        key = generate_tls_key()
        leaf = issue_leaf(name or self.node_id, key.public_key(), self.ca, self.ca_key, now=now or self.born)
        return (
            leaf.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
