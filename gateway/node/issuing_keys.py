"""Loads who issues: the key of credentials and the key of documents.

They are read when something is exported or looked up, not at a start: a node of an older version has
none and serves all the same, until ``init`` makes them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

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
    NodeFolder,
    certify_document_key,
    passphrase_of,
    present_ca,
)
from gateway.node.key_slots import read_certificate
from gateway.peers.node_ca import is_issued_by
from gateway.signing.key_files import read_private_key

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
    return Issuer(config.node.id, config.node.names, key, config.credentials.domain)


def load_document_signer(folder: NodeFolder, config: NodeConfig, now: datetime) -> DocumentSigner:
    """Return the key that signs documents, with its certificate and the node's CA.

    A certificate that is about to end, or of a CA that was replaced, is issued anew.

    Raises:
        KeyFileError: one of the files is missing, readable by others, or they do not belong together.
    """
    _require(folder, config, DOCUMENT_KEY)
    key = read_private_key(folder.key(DOCUMENT_KEY), passphrase_of(folder, config))
    certificate = read_certificate(folder.key(DOCUMENT_CERTIFICATE))
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        raise KeyFileError(
            f"{folder.key(DOCUMENT_CERTIFICATE)} does not belong to {DOCUMENT_KEY}.",
            remedy="Move both away and run `credit-gateway init`, which makes new ones.",
        )
    ca = present_ca(folder, config).active
    is_ending = certificate.not_valid_after_utc - now < timedelta(days=RENEWAL_DAYS)
    if is_ending or not is_issued_by(certificate, ca):
        certificate = certify_document_key(folder, config, key, now)
    return DocumentSigner(key, certificate, [ca])


def _require(folder: NodeFolder, config: NodeConfig, name: str) -> None:
    if not folder.key(name).exists():
        raise KeyFileError(
            f"{folder.key(name)} is missing: this node cannot issue yet.",
            remedy=f"Run `credit-gateway init {folder.root} --id {config.node.id}`: it makes the missing.",
        )
