"""Each node's own small TLS certification authority and the leaves it issues.

The CA certificate travels in the node's card and is constrained to the node's own name (RFC
5280, 4.2.1.10). Leaves are short-lived and renewed without a new card.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TLS_NAME_SUFFIX = ".node.creditexchange.alt"
"""Ends every TLS name. ``.alt`` (RFC 9476) is never resolved by DNS: the name says who, not where."""

CA_DAYS = 3650
LEAF_DAYS = 90
DOCUMENT_DAYS = 1095
"""How long the certificate for documents holds: a PDF shows as valid that long."""
LEAF_RENEWAL_DAYS = 30
"""A leaf with fewer days left is renewed at start."""

UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What reading somebody else's certificate raises; half of it is no ``ValueError``."""

LEAF_BACKDATED = timedelta(minutes=5)
"""Certificates begin that much before they are made: peers' clocks may be behind ours."""


def tls_name(node_id: str) -> str:
    """Return the one DNS name in the leaves of node ``node_id``."""
    return f"{node_id}{TLS_NAME_SUFFIX}"


def generate_tls_key() -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key, the type every TLS stack speaks."""
    return ec.generate_private_key(ec.SECP256R1())


def make_ca(node_id: str, key: Any, now: datetime) -> x509.Certificate:
    """Return a self-signed CA certificate that can only name ``node_id``."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{node_id} node CA")])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LEAF_BACKDATED)
        .not_valid_after(now + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName(tls_name(node_id))], None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def issue_leaf(
    node_id: str, public_key: Any, ca: x509.Certificate, ca_key: Any, *, now: datetime, days: int = LEAF_DAYS
) -> x509.Certificate:
    """Return a leaf for ``node_id``, for client and server side alike."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node_id)]))
        .issuer_name(ca.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LEAF_BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(tls_name(node_id))]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )


def is_issued_by(leaf: x509.Certificate, ca: x509.Certificate) -> bool:
    """Whether ``ca`` issued ``leaf``; says nothing about names or times."""
    try:
        leaf.verify_directly_issued_by(ca)
    except (InvalidSignature, TypeError, *UNREADABLE):
        return False
    return True


def issue_document_certificate(
    node_id: str, public_key: Any, ca: x509.Certificate, ca_key: Any, *, now: datetime
) -> x509.Certificate:
    """Return a certificate for signing documents (RFC 9336); no TLS stack takes it for a leaf."""
    subject = [
        x509.NameAttribute(NameOID.COMMON_NAME, f"{node_id} documents"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, node_id),
    ]
    usage = _key_usage(sign_certificates=False, commit_to_content=True)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(ca.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LEAF_BACKDATED)
        .not_valid_after(min(now + timedelta(days=DOCUMENT_DAYS), ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([_DOCUMENT_SIGNING]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )


_DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")


def _key_usage(*, sign_certificates: bool, commit_to_content: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=commit_to_content,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
