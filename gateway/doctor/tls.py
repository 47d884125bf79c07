"""A TLS handshake with one endpoint, seen from outside gRPC, which says of all failures the same."""

from __future__ import annotations

import secrets
import socket
import ssl
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.doctor.network import CONNECT_S_MAX, Place
from gateway.doctor.spoken import PREFACE, is_settings, what_speaks
from gateway.doctor.step import Side, Step
from gateway.peers.node_ca import tls_name
from gateway.peers.roster import Peer

TLS = "tls"
HANDSHAKE_S_MAX = 5.0

Leaf = tuple[bytes, bytes]
"""This node's certificate and its key, PEM."""

_NOT_TLS = frozenset(
    {
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "UNKNOWN_PROTOCOL",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
        "UNEXPECTED_EOF_WHILE_READING",
    }
)
_OURS_REFUSED = {
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority of our certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it takes our certificate for none",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it takes our certificate for a bad one",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it takes our certificate for expired",
    "TLSV1_ALERT_ACCESS_DENIED": "it denies access to our certificate",
    "TLSV1_ALERT_DECRYPT_ERROR": "the authority of our certificate is another than it knows under that name",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """The step, and the certificate that the endpoint showed, if it came to that."""

    step: Step
    certificate: x509.Certificate | None = None


def shake_hands(endpoint: str, peer: Peer, leaf: Leaf) -> Shown:
    """Do what gRPC does at the begin of a connection: TLS 1.3 with our certificate, then HTTP/2."""
    step = Step(TLS, f"TLS 1.3 with {endpoint} under our certificate, then HTTP/2", "", "both are accepted")
    place, context = Place.of(endpoint), client_context(leaf)
    try:
        with (
            place.connect(CONNECT_S_MAX) as plain,
            _wrapped(plain, context, peer.node_id) as connection,
        ):
            return _go_on(step, connection)
    except TimeoutError:
        return Shown(
            step.found(
                "TLS_NO_REPLY",
                Side.THEIRS,
                "Have the peer's operator look at its node, or at the load balancer before it: "
                "it takes connections "
                "and says nothing.",
                seen=f"the connection opens, and nothing comes within {HANDSHAKE_S_MAX:g} s",
            )
        )
    except ssl.SSLError as error:
        return Shown(_failed(step, place, error.reason or "", peer.node_id, leaf))
    except OSError:
        return Shown(_cut(step, place))


def client_context(leaf: Leaf, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Return a context that shows our certificate and believes any: what comes is looked at afterwards."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    certificate, key_pem = leaf
    # The ssl module takes keys from files alone: this one lies there encrypted, under a word that is never
    # written, in a folder of mode 0700.
    word = secrets.token_bytes(32).hex().encode()
    key = load_pem_private_key(key_pem, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(word)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "leaf.pem"
        path.write_bytes(key + certificate)
        context.load_cert_chain(path, password=word)
    return context


def _wrapped(plain: socket.socket, context: ssl.SSLContext, node_id: str) -> ssl.SSLSocket:
    plain.settimeout(HANDSHAKE_S_MAX)
    return context.wrap_socket(plain, server_hostname=tls_name(node_id))


def _go_on(step: Step, connection: ssl.SSLSocket) -> Shown:
    """The handshake is done at our end: see whether the other end accepts our certificate as well."""
    der = connection.getpeercert(binary_form=True)
    certificate = _certificate(der)
    if certificate is None:
        remedy = (
            "Have the peer's operator look at what answers there: it shows no certificate that can be read."
        )
        return Shown(
            step.found("CERTIFICATE_UNREADABLE", Side.THEIRS, remedy, seen="no readable certificate")
        )
    seen = f"{connection.version()}, the certificate of {_name(certificate)}"
    try:
        connection.sendall(PREFACE)
        heard = connection.recv(1024)
    except ssl.SSLError as error:
        return Shown(_refused(step, error.reason or ""), certificate)
    except TimeoutError:
        heard = None
    except OSError:
        heard = b""
    if heard == b"":
        return Shown(_refused(step, ""), certificate)
    if heard is None or not is_settings(heard):
        remedy = "Have the peer's operator correct the endpoint: what answers there is no gRPC server."
        return Shown(step.found("NOT_HTTP_2", Side.THEIRS, remedy, seen=f"{seen}; no HTTP/2"), certificate)
    return Shown(Step(TLS, step.tried, f"{seen}; HTTP/2", step.expected), certificate)


def _refused(step: Step, reason: str) -> Step:
    why = _OURS_REFUSED.get(reason)
    if why is None and reason:
        remedy = "Have the peer's operator look at the log of its node for this handshake."
        return step.found("TLS_FAILED", Side.THEIRS, remedy, seen=f"the other end broke off: {reason}")
    return step.found(
        "OUR_CERTIFICATE_REFUSED",
        Side.THEIRS,
        "Send the peer's operator your newest card (`credit-gateway card`) and have it accepted there "
        "(`credit-gateway peers add`): that node does not know you, or knows an older card of yours.",
        seen=why or "the connection was closed as soon as our certificate was seen",
    )


def _failed(step: Step, place: Place, reason: str, node_id: str, leaf: Leaf) -> Step:
    """The handshake failed at our end."""
    if reason in {"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL"}:
        return _too_old(step, place, node_id, leaf)
    if reason in _NOT_TLS:
        return _cut(step, place)
    if reason == "TLSV1_ALERT_NO_APPLICATION_PROTOCOL":
        remedy = "Have the peer's operator correct the endpoint: what answers there is no gRPC server."
        return step.found("NOT_HTTP_2", Side.THEIRS, remedy, seen="TLS, and no HTTP/2 over it")
    if reason in _OURS_REFUSED:
        return _refused(step, reason)
    remedy = "Have the peer's operator look at what answers at that endpoint; a node speaks TLS 1.3."
    return step.found("TLS_FAILED", Side.THEIRS, remedy, seen=f"the handshake fails: {reason or 'no reason'}")


def _too_old(step: Step, place: Place, node_id: str, leaf: Leaf) -> Step:
    version = "an older version of TLS"
    with (
        suppress(OSError),
        place.connect(CONNECT_S_MAX) as plain,
        _wrapped(plain, client_context(leaf, ssl.TLSVersion.TLSv1_2), node_id) as connection,
    ):
        version = connection.version() or version
    return step.found(
        "TLS_TOO_OLD",
        Side.THEIRS,
        "Have the peer's operator let TLS 1.3 through: a node speaks it, a proxy or load "
        "balancer before it does not.",
        seen=f"TLS 1.3 is refused; {version} is offered",
    )


def _cut(step: Step, place: Place) -> Step:
    """No TLS came: see what the endpoint speaks instead."""
    speaks = what_speaks(place)
    if speaks is None:
        return step.found(
            "CONNECTION_CUT",
            Side.NETWORK,
            f"Look at what stands between: a firewall, or a load balancer without a node behind it, cuts "
            f"connections to {place.host}:{place.port}.",
            seen="the connection opens and is cut at the first byte",
        )
    return step.found(
        "NOT_TLS",
        Side.THEIRS,
        "Have the peer's operator correct the endpoint in its card: it must lead to the node's "
        "peer port, which speaks "
        "TLS 1.3, not to its operator port, its metrics page or a web server.",
        seen=f"no TLS, but {speaks}",
    )


def _certificate(der: bytes | None) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(der) if der else None
    except ValueError:
        return None


def _name(certificate: x509.Certificate) -> str:
    names = names_of(certificate)
    return ", ".join(names[:3]) or "nobody"


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names of a certificate, as printable text."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    names = extension.value.get_values_for_type(x509.DNSName)
    return ["".join(c for c in name[:100] if c.isprintable()) for name in names]


LeafSource = Callable[[], Leaf]
