"""Loads who issues: the key of credentials and the key of documents.

They are read when something is exported or looked up, not at a start: a node of an older version has
none and serves all the same, until ``init`` makes them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import KeyFileError
from gateway.exports.document_signer import DocumentSigner
from gateway.exports.issuer import Issuer
from gateway.node.config import NodeConfig
from gateway.node.folder import (
    CREDENTIAL_KEY,
    DOCUMENT_CERTIFICATE,
    DOCUMENT_KEY,
    PAST_CREDENTIAL_KEYS,
    NodeFolder,
    certify_document_key,
    passphrase_of,
    present_ca,
    swap_in,
)
from gateway.node.key_slots import read_certificate
from gateway.peers.node_ca import generate_tls_key, is_issued_by
from gateway.signing.key_files import read_private_key, write_private_key
from gateway.signing.multibase import key_of_multikey
from gateway.signing.suites import ED25519, SigningKey

RENEWAL_DAYS = 30
"""A certificate with fewer days left is issued anew."""


def load_issuer(folder: NodeFolder, config: NodeConfig) -> Issuer:
    """Return this node as an issuer of credentials.

    Raises:
        KeyFileError: the key is missing, readable by others, or no Ed25519 key.
    """
    path = folder.key(CREDENTIAL_KEY)
    _require(folder, config, CREDENTIAL_KEY)
    key = read_private_key(path, passphrase_of(folder, config))
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(
            f"{path} is no Ed25519 key.",
            remedy="Move it away and run `credit-gateway init`, which makes one.",
        )
    return Issuer(config.node.id, config.node.names, key, config.credentials.domain, _past_keys(folder))


def replace_credential_key(folder: NodeFolder, config: NodeConfig) -> str:
    """Make a new key for credentials, and go on to publish the old one's public half.

    Returns:
        The new public key as multibase.

    Raises:
        KeyFileError: the old key cannot be read.
    """
    issuer = load_issuer(folder, config)
    past = [issuer.key_name, *(each for each in issuer.past_keys if each != issuer.key_name)]
    content = "".join(f"{each}\n" for each in past)
    swap_in(folder.key(PAST_CREDENTIAL_KEYS), lambda path: path.write_text(content, encoding="ascii"))
    _replace_key(folder, config, CREDENTIAL_KEY, SigningKey.generate(ED25519).private)
    return load_issuer(folder, config).key_name


def replace_document_key(folder: NodeFolder, config: NodeConfig, now: datetime) -> None:
    """Make a new key for documents, with its certificate. Raises ``KeyFileError``."""
    _replace_key(folder, config, DOCUMENT_KEY, generate_tls_key())
    load_document_signer(folder, config, now)


def _replace_key(folder: NodeFolder, config: NodeConfig, name: str, key: Any) -> None:
    swap_in(folder.key(name), lambda path: write_private_key(path, key, passphrase_of(folder, config)))


def _past_keys(folder: NodeFolder) -> tuple[str, ...]:
    path = folder.key(PAST_CREDENTIAL_KEYS)
    if not path.exists():
        return ()
    names = path.read_text(encoding="ascii", errors="replace").split()
    for number, name in enumerate(names, 1):
        try:
            key_of_multikey(name)
        except ValueError as error:
            raise KeyFileError(
                f"{path}: line {number} is no Ed25519 public key as multibase.",
                remedy="Restore the file from your backup, or delete that line.",
            ) from error
    return tuple(names)


def load_document_signer(folder: NodeFolder, config: NodeConfig, now: datetime) -> DocumentSigner:
    """Return the key that signs documents, with its certificate and the node's CA.

    A certificate that is about to end, of a key or a CA that was replaced, is issued anew.

    Raises:
        KeyFileError: one of the files is missing, readable by others, or no EC key.
    """
    _require(folder, config, DOCUMENT_KEY)
    key = read_private_key(folder.key(DOCUMENT_KEY), passphrase_of(folder, config))
    certificate = read_certificate(folder.key(DOCUMENT_CERTIFICATE))
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyFileError(
            f"{folder.key(DOCUMENT_KEY)} is no EC key.",
            remedy="Move it away and run `credit-gateway init`, which makes one.",
        )
    ca = present_ca(folder, config).active
    is_ending = certificate.not_valid_after_utc - now < timedelta(days=RENEWAL_DAYS)
    is_of_key = certificate.public_key() == key.public_key()
    if is_ending or not is_of_key or not is_issued_by(certificate, ca):
        certificate = certify_document_key(folder, config, key, now)
    return DocumentSigner(key, certificate, [ca])


def _require(folder: NodeFolder, config: NodeConfig, name: str) -> None:
    if not folder.key(name).exists():
        raise KeyFileError(
            f"{folder.key(name)} is missing: this node cannot issue yet.",
            remedy=f"Run `credit-gateway init {folder.root} --id {config.node.id}`: it makes the missing.",
        )
