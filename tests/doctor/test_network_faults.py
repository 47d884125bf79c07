"""Faults on the way to a peer: name, connection, TLS, certificate. Real sockets on loopback."""

import socket
import ssl
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.doctor import network, tls
from gateway.doctor.spoken import PREFACE
from gateway.doctor.step import Side, State, Step, Verdict
from gateway.peers.node_ca import generate_tls_key
from gateway.rpc.channels import TlsLeaf
from tests.doctor.clinic import THEM, THIRD, US, Clinic, listening, now, stranger
from tests.federation.provinces import pem
from tests.ports import free_port


def assert_verdict(verdict: Verdict, step: str, finding: str, side: Side, remedy: str) -> None:
    assert (verdict.step, verdict.finding, verdict.side) == (step, finding, side)
    assert verdict.state is State.FAULT
    assert remedy in verdict.remedy


def seen_at(steps: list[Step], name: str) -> str:
    return next(step.seen for step in steps if step.name == name)


def test_a_name_that_does_not_exist(ward: Clinic) -> None:
    ward.endpoints("gateway.shanghai.invalid:7443")
    _, verdict = ward.examine()
    assert verdict.step == "name"
    # Whether the resolver says "no such name" or cannot say it depends on the machine that runs this.
    assert (verdict.finding, verdict.side) in {
        ("NAME_UNKNOWN", Side.THEIRS),
        ("NAME_NO_REPLY", Side.OURS),
    }


def test_a_name_that_the_system_says_is_unknown(ward: Clinic, tmp_path: Path) -> None:
    # 64 characters are one too many for a label (RFC 1035): every resolver knows that without asking.
    ward.endpoints(f"{'a' * 64}.example:7443")
    _, verdict = ward.examine()
    assert_verdict(verdict, "name", "NAME_UNKNOWN", Side.THEIRS, "[card] endpoints")


def test_a_wrong_port(ward: Clinic) -> None:
    ward.endpoints(f"127.0.0.1:{free_port()}")
    _, verdict = ward.examine()
    assert_verdict(verdict, "connection", "CONNECTION_REFUSED", Side.THEIRS, "start the node")


def test_a_firewall_that_drops(ward: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "CONNECT_S_MAX", 0.5)
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", free_port()), backlog=0))
        address = server.getsockname()
        for _ in range(4):  # once the queue is full, Linux drops further SYNs as a firewall does
            client = stack.enter_context(socket.socket())
            client.settimeout(0.2)
            with suppress(TimeoutError):
                client.connect(address)
        ward.endpoints(f"127.0.0.1:{address[1]}")
        _, verdict = ward.examine()
    assert_verdict(verdict, "connection", "CONNECTION_NO_REPLY", Side.NETWORK, f"port {address[1]}")


def reset(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_middle_box_that_resets(ward: Clinic) -> None:
    with listening(reset) as endpoint:
        ward.endpoints(endpoint)
        _, verdict = ward.examine()
    assert_verdict(verdict, "tls", "CONNECTION_CUT", Side.NETWORK, "firewall")


def test_a_server_that_says_nothing(ward: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_S_MAX", 0.5)
    kept = []
    with listening(kept.append) as endpoint:
        ward.endpoints(endpoint)
        _, verdict = ward.examine()
    for connection in kept:
        connection.close()
    assert_verdict(verdict, "tls", "TLS_NO_REPLY", Side.THEIRS, "says nothing")


def test_grpc_in_plain_text(ward: Clinic) -> None:
    server = grpc.server(ThreadPoolExecutor(2))
    port = server.add_insecure_port(f"127.0.0.1:{free_port()}")
    server.start()
    try:
        ward.endpoints(f"127.0.0.1:{port}")
        steps, verdict = ward.examine()
    finally:
        server.stop(None).wait()
    assert_verdict(verdict, "tls", "NOT_TLS", Side.THEIRS, "peer port")
    assert "gRPC (HTTP/2) in plain text" in seen_at(steps, "tls")


def web_page(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def test_a_web_server(ward: Clinic) -> None:
    with listening(web_page) as endpoint:
        ward.endpoints(endpoint)
        steps, verdict = ward.examine()
    assert_verdict(verdict, "tls", "NOT_TLS", Side.THEIRS, "web server")
    assert "HTTP in plain text" in seen_at(steps, "tls")


def greeting(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\x1b[31m\r\n")
        connection.recv(4096)


def test_another_service_is_quoted_without_its_control_characters(ward: Clinic) -> None:
    with listening(greeting) as endpoint:
        ward.endpoints(endpoint)
        steps, verdict = ward.examine()
    assert_verdict(verdict, "tls", "NOT_TLS", Side.THEIRS, "endpoint")
    assert "SSH-2.0-OpenSSH_9.2" in seen_at(steps, "tls")
    assert "\x1b" not in seen_at(steps, "tls")


def tls_server(
    leaf: tuple[bytes, bytes], folder: Path, version: ssl.TLSVersion, protocols: list[str]
) -> Callable[[socket.socket], None]:
    """A TLS server that is no gateway: ``version`` only, speaking ``protocols`` by name and none in fact."""
    path = folder / "server.pem"
    path.write_bytes(leaf[1] + leaf[0])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(path)
    context.set_alpn_protocols(protocols)

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(len(PREFACE))
            secured.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    return serve


def test_a_server_of_tls_1_2_only(ward: Clinic, tmp_path: Path) -> None:
    leaf = ward.them.province.leaf_with_key()
    with listening(tls_server(leaf, tmp_path, ssl.TLSVersion.TLSv1_2, ["h2"])) as endpoint:
        ward.endpoints(endpoint)
        steps, verdict = ward.examine()
    assert_verdict(verdict, "tls", "TLS_TOO_OLD", Side.THEIRS, "TLS 1.3")
    assert "TLSv1.2 is offered" in seen_at(steps, "tls")


def test_a_tls_server_without_grpc(ward: Clinic, tmp_path: Path) -> None:
    leaf = ward.them.province.leaf_with_key()
    with listening(tls_server(leaf, tmp_path, ssl.TLSVersion.TLSv1_3, ["http/1.1"])) as endpoint:
        ward.endpoints(endpoint)
        _, verdict = ward.examine()
    assert_verdict(verdict, "tls", "NOT_HTTP_2", Side.THEIRS, "no gRPC server")


def test_a_proxy_that_opens_tls(ward: Clinic, tmp_path: Path) -> None:
    key = generate_tls_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Inspection Proxy")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("proxy.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pair = (pem(certificate), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with listening(tls_server(pair, tmp_path, ssl.TLSVersion.TLSv1_3, ["h2"])) as endpoint:
        ward.endpoints(endpoint)
        _, verdict = ward.examine()
    assert_verdict(verdict, "certificate", "SOMEBODY_BETWEEN", Side.NETWORK, "passed through untouched")


def show(ward: Clinic, leaf: tuple[bytes, bytes]) -> None:
    """Have them serve with another certificate."""
    port = ward.ports[THEM]
    port.tls[0] = (TlsLeaf(*leaf), port.tls[0][1])
    ward.serve()


def test_an_expired_certificate(ward: Clinic) -> None:
    show(ward, ward.them.province.leaf_with_key(now=now() - timedelta(days=91)))
    _, verdict = ward.examine()
    assert_verdict(verdict, "certificate", "CERTIFICATE_EXPIRED", Side.THEIRS, "restart its node")


def test_a_certificate_that_is_not_valid_yet(ward: Clinic) -> None:
    show(ward, ward.them.province.leaf_with_key(now=now() + timedelta(days=1)))
    _, verdict = ward.examine()
    assert_verdict(verdict, "certificate", "CERTIFICATE_NOT_YET_VALID", Side.THEIRS, "set its clock")


def test_a_certificate_that_only_our_clock_takes_for_expired(ward: Clinic) -> None:
    ward.serve(THEM, THIRD)
    ward.us.clock = lambda: now() + timedelta(days=100)
    _, verdict = ward.examine()
    assert_verdict(verdict, "certificate", "CLOCKS_DIFFER", Side.OURS, "this machine")


def test_a_certificate_under_another_name(ward: Clinic) -> None:
    show(ward, ward.them.province.leaf_with_key(name="jiangsu"))
    _, verdict = ward.examine()
    assert_verdict(verdict, "certificate", "WRONG_NAME", Side.THEIRS, "tls-leaf.pem")


def test_a_certificate_of_another_authority(ward: Clinic) -> None:
    show(ward, stranger(THEM).leaf_with_key())
    _, verdict = ward.examine()
    assert_verdict(verdict, "certificate", "OTHER_AUTHORITY", Side.OURS, "newest card")


def test_an_endpoint_that_leads_to_another_peer(ward: Clinic) -> None:
    ward.serve(THIRD)
    ward.endpoints(ward.ports[THIRD].address)
    _, verdict = ward.examine()
    assert_verdict(verdict, "certificate", "OTHER_NODE", Side.THEIRS, "'anhui', a peer of yours")


def test_a_peer_that_does_not_know_our_authority(ward: Clinic) -> None:
    ward.know(replace(stranger(US).peer()), at=ward.them)
    ward.serve()
    _, verdict = ward.examine()
    assert_verdict(verdict, "tls", "OUR_CERTIFICATE_REFUSED", Side.THEIRS, "peers add")


def test_our_own_certificate_has_expired(ward: Clinic) -> None:
    ward.serve()
    ward.leaf = TlsLeaf(*ward.us.province.leaf_with_key(now=now() - timedelta(days=91)))
    _, verdict = ward.examine()
    assert_verdict(verdict, "tls", "OUR_CERTIFICATE_EXPIRED", Side.OURS, "Restart this node")


def test_one_dead_endpoint_of_several_is_a_warning(ward: Clinic) -> None:
    ward.serve()
    dead = f"127.0.0.1:{free_port()}"
    ward.endpoints(dead, ward.ports[THEM].address)
    steps, verdict = ward.examine()
    assert (verdict.state, verdict.finding, verdict.side) == (
        State.WARNING,
        "CONNECTION_REFUSED",
        Side.THEIRS,
    )
    assert dead in verdict.remedy
    assert next(step for step in steps if step.name == "echo").state is State.OK
