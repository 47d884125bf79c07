"""The peer that the kit plays: a node's folder made for it, with keys that nobody else relies on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.clock import system_clock
from gateway.errors import CallerError
from gateway.node.card_file import present_card
from gateway.node.config import load_config
from gateway.node.folder import NodeFolder, init_node, load_keys
from gateway.node.lock import node_lock
from gateway.node.rotating import begin
from gateway.node.rotation_plan import ANNOUNCED
from gateway.node.stores import audit_log_of
from gateway.peers.card import Card
from gateway.peers.node_ca import generate_tls_key, issue_leaf, make_ca
from gateway.rpc.channels import TlsLeaf
from gateway.schemes import load_scheme
from gateway.signing.signed_note import NoteSigner
from gateway.signing.suites import ED25519, SigningKey, Suite

NODE_ID = "conformance"
ENDPOINT = "127.0.0.1:17943"
NEXT_KEY_S = 300 * 24 * 3600
"""When the next keys that the card announces would begin to be used, seconds: longer than it is played."""
SEQUENCE_FILE = "conformance-sequence"


@dataclass(frozen=True)
class Identity:
    """Keys, leaf and card of the peer that is played."""

    folder: NodeFolder
    card: Card
    message: SigningKey
    log: SigningKey
    witness: SigningKey
    leaf: TlsLeaf
    ca: x509.Certificate
    ca_key: Any
    further_message: tuple[SigningKey, ...] = ()
    """Keys of the further signatures on every message."""
    next_message: tuple[SigningKey, ...] = ()
    """Keys that the card announces for later; none when it announces nothing."""

    @property
    def node_id(self) -> str:
        """Node id of the peer that is played."""
        return self.card.node_id

    @property
    def log_signer(self) -> NoteSigner:
        """Signs checkpoints in the name of the identity's log."""
        return NoteSigner(self.card.log_origin, self.log.private)

    def next_sequence(self) -> int:
        """Return the pair's next number; it goes on where the last run ended (section 3)."""
        path = self.folder.root / "data" / SEQUENCE_FILE
        number = 1
        with suppress(FileNotFoundError, ValueError):
            number = int(path.read_text(encoding="ascii")) + 1
        path.write_text(str(number), encoding="ascii")
        return number

    def leaf_named(self, now: datetime, *names: str, days: int = 1, stranger: bool = False) -> TlsLeaf:
        """Return a leaf for ``names`` by this identity's CA, or by one that nobody has accepted."""
        ca, ca_key, key = self.ca, self.ca_key, generate_tls_key()
        if stranger:
            ca_key = generate_tls_key()
            ca = make_ca(self.node_id, ca_key, now)
        leaf = issue_leaf(names[0], key.public_key(), ca, ca_key, now=now, days=days)
        if len(names) > 1:
            leaf = _with_names(leaf, ca_key, *names)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return TlsLeaf(leaf.public_bytes(Encoding.PEM), pem)


def load_identity(root: Path) -> Identity:
    """Read the identity in ``root``.

    Raises:
        CallerError: it is the folder of a node that has exchanged something: the kit signs
            contradicting checkpoints on purpose, and its peers would keep them as evidence.
        OperatorError: something in the folder is missing or wrong.
    """
    folder, now = NodeFolder(root), system_clock()
    config = load_config(root)
    keys = load_keys(folder, config)
    with node_lock(folder), audit_log_of(folder, config, keys, system_clock) as log:
        size = log.size
    if size:
        raise CallerError(
            f"{root} is the folder of a node that has a history.",
            remedy="The kit signs contradicting checkpoints on purpose. Give it an identity of its own.",
        )
    return Identity(
        folder=folder,
        card=present_card(folder, config, keys, load_scheme(folder.scheme).reference, now),
        message=keys.message,
        log=keys.log,
        witness=keys.witness,
        leaf=TlsLeaf(keys.tls_leaf_pem, keys.tls_leaf_key_pem),
        ca=keys.tls_ca,
        ca_key=keys.tls_ca_key,
        further_message=keys.further_message,
        next_message=tuple(
            slot.other
            for slot in keys.slots
            if slot.other is not None
            and slot.step is not None
            and (slot.step.role, slot.step.phase) == ("signing", ANNOUNCED)
        ),
    )


def make_identity(root: Path, listen: str = ENDPOINT, suites: Sequence[Suite] = (ED25519,)) -> Identity:
    """Make a throw-away identity in ``root`` and write its card. Raises as :func:`load_identity`.

    ``listen`` is where it is reached when it plays the server, ``suites`` those of its message keys.
    """
    now = system_clock()
    settings = {
        "listen": listen,
        "endpoint": listen,
        "operator": "127.0.0.1:17944",
        "metrics": "127.0.0.1:17945",
        "origin": f"audit.{NODE_ID}.example/{now.year}",
        "epochs": "",
    }
    init_node(root, NODE_ID, example=None, settings=settings, now=now, suites=suites)
    begin(NodeFolder(root), "signing", now, announce_s=NEXT_KEY_S)
    return load_identity(root)


def _with_names(leaf: x509.Certificate, ca_key: Any, *names: str) -> x509.Certificate:
    """Return ``leaf`` with several names, signed anew."""
    from cryptography.hazmat.primitives import hashes

    from gateway.peers.node_ca import tls_name

    builder = (
        x509.CertificateBuilder(leaf.issuer, leaf.subject, leaf.public_key(), leaf.serial_number)
        .not_valid_before(leaf.not_valid_before_utc)
        .not_valid_after(leaf.not_valid_after_utc)
    )
    several = x509.SubjectAlternativeName([x509.DNSName(tls_name(name)) for name in names])
    for extension in leaf.extensions:
        is_name = isinstance(extension.value, x509.SubjectAlternativeName)
        builder = builder.add_extension(several if is_name else extension.value, extension.critical)
    return builder.sign(ca_key, hashes.SHA256())
