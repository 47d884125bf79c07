"""The peer port over real mutual TLS on loopback: who gets in, and what is refused before any step."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from gateway.errors import AlreadyRunningError, PeerFaultError, RefusedError
from gateway.exchange.answering.refuse import SignedRefusalError
from gateway.exchange.messages import ECHO, ExchangeSettings, IncomingCall, Snapshot
from gateway.node.assemble import OUTCOMES
from gateway.peers.caller import RefusedByPeerError
from gateway.peers.node_ca import tls_name
from gateway.peers.roster import Roster
from gateway.policy.grants import Access, AccessFile
from gateway.rpc.channels import Channels, TlsLeaf
from gateway.rpc.guard import Guard
from gateway.rpc.methods import METHODS
from gateway.rpc.server import Health, ServerLimits, add_peer_port, drain, peer_server
from gateway.rpc.status import CODES, DETAILS_BYTES_MAX, fault_of, status_of
from gateway.signing.envelope import seal
from gateway.telemetry.metrics import Metrics
from tests.federation.provinces import Province
from tests.ports import free_port

NODE_CLIENT = Path(__file__).with_name("tls12_client.mjs")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Port:
    """A running peer port of Shanghai, with handlers that tests replace."""

    address: str
    shanghai: Province
    snapshot: list[Snapshot]
    tls: list
    health: Health
    server: grpc.Server
    metrics: Metrics
    guard: Guard
    handler: list[Callable[[bytes, IncomingCall], bytes]] = field(default_factory=lambda: [lambda r, c: r])
    opened: list = field(default_factory=list)

    def channel(self, leaf: tuple[bytes, bytes] | None, **options: object) -> grpc.Channel:
        credentials = grpc.ssl_channel_credentials(self.shanghai.card().ca_pem, *(leaf[::-1] if leaf else ()))
        facts = {
            "grpc.ssl_target_name_override": tls_name("shanghai"),
            "grpc.enable_retries": 0,
            "grpc.max_metadata_size": 1 << 20,
            "grpc.absolute_max_metadata_size": 1 << 20,
        } | options
        channel = grpc.secure_channel(self.address, credentials, options=list(facts.items()))
        self.opened.append(channel)
        return channel

    def adopt(self, *peers: Province, rate: int = 10_000) -> None:
        access = Access.of(AccessFile(rate=[{"peer": p.node_id, "calls_per_second": rate} for p in peers]))
        roster = Roster.of([p.peer() for p in peers])
        self.snapshot[0] = replace(self.snapshot[0], roster=roster, access=access)
        self.tls[0] = (self.tls[0][0], roster.ca_pem)
        self.metrics.know_peers(roster.peers)


ZHEJIANG = Province("zhejiang", born=now())
LEAF = ZHEJIANG.leaf_with_key()


@pytest.fixture
def port() -> Iterator[Port]:
    shanghai = Province("shanghai", born=now())
    roster = Roster.of([ZHEJIANG.peer()])
    snapshot = [
        Snapshot("shanghai", (shanghai.message_key,), roster, Access({}, {}), None, {}, ExchangeSettings(), 1)
    ]
    leaf = shanghai.leaf_with_key()
    tls = [(TlsLeaf(*leaf), roster.ca_pem)]
    metrics, health = Metrics(OUTCOMES, (m.name for m in METHODS)), Health()
    guard = Guard(lambda: snapshot[0], metrics, now, calls_at_once_max=4)
    made = Port("", shanghai, snapshot, tls, health, None, metrics, guard)
    run = lambda request, call, _snapshot: made.handler[0](request, call)  # noqa: E731
    limits = ServerLimits(threads=4)
    made.server = peer_server(guard, {method.name: run for method in METHODS}, limits, health)
    made.address = f"127.0.0.1:{add_peer_port(made.server, f'127.0.0.1:{free_port()}', lambda: tls[0])}"
    made.adopt(ZHEJIANG)
    made.server.start()
    health.set_serving(True)
    yield made
    for channel in made.opened:
        channel.close()
    made.server.stop(None).wait()


def call(
    channel: grpc.Channel, request: bytes = b"hello", timeout: float | None = 10, method: str = ECHO, **how
) -> bytes:
    return channel.unary_unary(method)(request, timeout=timeout, **how)


def refused(
    channel: grpc.Channel, **how: object
) -> tuple[str, grpc.StatusCode, dict[str, str], float | None]:
    with pytest.raises(grpc.RpcError) as error:
        call(channel, **how)
    status = rpc_status.from_call(error.value)
    assert status is not None, error.value
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(retry)
    assert info.domain == "creditexchange.v1"
    wait = retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None
    return info.reason, error.value.code(), dict(info.metadata), wait


def test_an_accepted_peer_gets_through_and_is_known_by_its_leaf(port: Port) -> None:
    seen = []
    port.handler[0] = lambda request, c: (seen.append(c.peer.node_id), request)[1]
    assert call(port.channel(LEAF)) == b"hello"
    assert seen == ["zhejiang"]


@pytest.mark.parametrize(
    "leaf",
    [None, Province("zhejiang", born=now()).leaf_with_key()],
    ids=["no certificate", "another CA of that name"],
)
def test_a_stranger_does_not_get_through_the_handshake(port: Port, leaf) -> None:
    with pytest.raises(grpc.RpcError) as error:
        call(port.channel(leaf))
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def unconstrained(province: Province) -> Province:
    """An accepted peer whose CA lacks name constraints: what an attacker's software would make."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CA")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(province.ca_key.public_key())
    )
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    province.ca = (
        builder.serial_number(7)
        .not_valid_before(province.ca.not_valid_before_utc)
        .not_valid_after(province.ca.not_valid_after_utc)
        .add_extension(constraints, critical=True)
        .sign(province.ca_key, hashes.SHA256())
    )
    return province


def test_a_certificate_that_one_peers_ca_issued_in_anothers_name_is_refused(port: Port) -> None:
    jiangsu = unconstrained(Province("jiangsu", born=now()))
    port.adopt(ZHEJIANG, jiangsu)
    assert call(port.channel(jiangsu.leaf_with_key())) == b"hello"
    forged = jiangsu.leaf_with_key(name="zhejiang")
    assert refused(port.channel(forged))[:2] == ("UNKNOWN_PEER", grpc.StatusCode.UNAUTHENTICATED)


def test_name_constraints_stop_it_in_the_handshake_already(port: Port) -> None:
    jiangsu = Province("jiangsu", born=now())
    port.adopt(ZHEJIANG, jiangsu)
    with pytest.raises(grpc.RpcError) as error:
        call(port.channel(jiangsu.leaf_with_key(name="zhejiang")))
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_removed_peer_is_refused_on_its_living_connection(port: Port) -> None:
    channel = port.channel(LEAF)
    call(channel)
    port.adopt(Province("jiangsu", born=now()))
    assert refused(channel)[0] == "UNKNOWN_PEER"


def test_a_new_peer_is_let_in_without_a_restart(port: Port) -> None:
    jiangsu = Province("jiangsu", born=now())
    port.adopt(ZHEJIANG, jiangsu)
    assert call(port.channel(jiangsu.leaf_with_key())) == b"hello"


def test_tls_older_than_1_3_is_refused(port: Port, tmp_path: Path) -> None:
    files = {"cert": LEAF[0], "key": LEAF[1], "ca": port.shanghai.card().ca_pem}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    command = ["node", str(NODE_CLIENT), port.address, tls_name("shanghai"), str(tmp_path)]
    old = subprocess.run([*command, "TLSv1.2"], capture_output=True, text=True, timeout=30, check=False)
    assert "TLS_TOO_OLD" in old.stdout or "handshake refused" in old.stdout, old
    new = subprocess.run([*command, "TLSv1.3"], capture_output=True, text=True, timeout=30, check=False)
    assert "grpc-status 0" in new.stdout, new


@pytest.mark.parametrize(("timeout", "reason"), [(None, "DEADLINE_MISSING"), (60, "DEADLINE_TOO_LONG")])
def test_a_deadline_is_demanded_and_bounded(port: Port, timeout: float | None, reason: str) -> None:
    found, code, metadata, _ = refused(port.channel(LEAF), timeout=timeout)
    assert (found, code, metadata) == (reason, grpc.StatusCode.INVALID_ARGUMENT, {"deadlineSecondsMax": "30"})


def test_a_message_over_the_limit_is_refused_and_one_below_is_not(port: Port) -> None:
    channel = port.channel(LEAF, **{"grpc.max_receive_message_length": 1 << 20})
    assert len(call(channel, b"x" * (256 * 1024 - 16))) == 256 * 1024 - 16
    with pytest.raises(grpc.RpcError) as error:
        call(channel, b"x" * (256 * 1024 + 1))
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_too_much_metadata_is_refused(port: Port) -> None:
    with pytest.raises(grpc.RpcError) as error:
        call(port.channel(LEAF), metadata=(("x", "y" * 20_000),))
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_unknown_methods_are_unimplemented(port: Port) -> None:
    for method in (
        "/creditexchange.v1.RecordExchangeService/ListLearners",
        "/creditexchange.v1.ArchiveService/SearchRecords",
    ):
        with pytest.raises(grpc.RpcError) as error:
            call(port.channel(LEAF), method=method)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_calls_beyond_the_limit_are_refused_at_once_and_say_when_to_come_back(port: Port) -> None:
    inside, release = threading.Semaphore(0), threading.Event()

    def wait(request: bytes, _: IncomingCall) -> bytes:
        inside.release()
        release.wait(20)
        return request

    port.handler[0] = wait
    channel = port.channel(LEAF)
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(call, channel) for _ in range(4)]
        for _ in range(4):
            assert inside.acquire(timeout=10)
        reason, code, _, wait_s = refused(channel)
        release.set()
        assert [f.result() for f in running] == [b"hello"] * 4
    assert (reason, code, wait_s) == ("OVERLOADED", grpc.StatusCode.RESOURCE_EXHAUSTED, 1.0)
    assert port.metrics.registry.get_sample_value("credit_gateway_calls_in_flight") == 0


def test_a_peer_beyond_its_rate_is_told_when_to_come_back(port: Port) -> None:
    port.adopt(ZHEJIANG, rate=3)
    channel = port.channel(LEAF)
    outcomes = []
    for _ in range(8):
        try:
            outcomes.append(call(channel))
        except grpc.RpcError as error:
            outcomes.append(rpc_status.from_call(error).message)
    assert outcomes[:3] == [b"hello"] * 3
    assert "more than 3 calls a second." in outcomes
    labels = {"peer": "zhejiang", "reason": "RATE_EXCEEDED"}
    assert port.metrics.registry.get_sample_value("credit_gateway_refusals_total", labels) >= 1


def test_messages_that_do_not_verify_use_up_a_bucket_of_their_own(port: Port) -> None:
    def unverified(_: bytes, __: IncomingCall) -> bytes:
        raise SignedRefusalError(RefusedError("INVALID_SIGNATURE", "no"), None)

    port.handler[0] = unverified
    channel = port.channel(LEAF)
    reasons = [refused(channel)[0] for _ in range(22)]
    assert reasons == ["INVALID_SIGNATURE"] * 20 + ["RATE_EXCEEDED"] * 2


def test_a_defect_shows_an_incident_and_nothing_of_what_it_held(port: Port) -> None:
    def broken(_: bytes, __: IncomingCall) -> bytes:
        raise KeyError("990001199003071231")

    port.handler[0] = broken
    reason, code, metadata, _ = refused(port.channel(LEAF))
    assert (reason, code) == ("INTERNAL", grpc.StatusCode.INTERNAL)
    assert len(metadata["incident"]) == 16
    with pytest.raises(grpc.RpcError) as error:
        call(port.channel(LEAF))
    assert "990001" not in str(error.value)


def test_every_status_fits_what_grpc_delivers(port: Port) -> None:
    signed = seal(b"x" * 2000, "t", [ZHEJIANG.message_key])
    huge = seal(b"x" * 5000, "t", [ZHEJIANG.message_key])
    for message, is_kept in ((signed, True), (huge, False)):
        details = {f"key{i}": "v" * 40 for i in range(8)}
        status = status_of(SignedRefusalError(RefusedError("CLOCK_SKEW", "no", details=details), message))
        size = len(dict(status.trailing_metadata)["grpc-status-details-bin"])
        assert size <= DETAILS_BYTES_MAX
        assert (size > 2000) is is_kept


def test_every_reason_has_a_code() -> None:
    from creditexchange.v1.reason_pb2 import Reason

    assert set(CODES) == {n.removeprefix("REASON_") for n in Reason.keys() if n != "REASON_UNSPECIFIED"}


def test_the_protocol_page_lists_every_reason_with_its_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    for reason, code in CODES.items():
        assert f"| `{reason}` | {code.name} |" in page, reason


def test_health_is_served_and_reflection_is_not(port: Port) -> None:
    channel = port.channel(LEAF)
    reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with pytest.raises(grpc.RpcError) as error:
        list(
            reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]), timeout=5)
        )
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_drain_finishes_what_was_accepted_and_takes_nothing_new(port: Port) -> None:
    inside, release = threading.Event(), threading.Event()

    def wait(request: bytes, _: IncomingCall) -> bytes:
        inside.set()
        release.wait(20)
        return request

    port.handler[0] = wait
    channel, late = port.channel(LEAF), port.channel(LEAF)
    with ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(call, channel)
        assert inside.wait(10)
        drained = drain(port.server, port.health, grace_s=20)
        with pytest.raises(grpc.RpcError) as error:
            call(late)
        assert error.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        release.set()
        assert accepted.result() == b"hello"
    assert drained.wait(10)


def test_a_draining_node_says_so_and_finishes_what_it_accepted(port: Port) -> None:
    inside, release = threading.Event(), threading.Event()

    def wait(request: bytes, _: IncomingCall) -> bytes:
        inside.set()
        release.wait(20)
        return request

    port.handler[0] = wait
    channel = port.channel(LEAF)
    with ThreadPoolExecutor(2) as pool:
        accepted = pool.submit(call, channel)
        assert inside.wait(10)
        drained = pool.submit(port.guard.drain, 0.0, 20.0)
        while not port.guard._is_draining:
            pass
        assert refused(channel)[0::3] == ("SHUTTING_DOWN", 5.0)
        assert not drained.done()
        release.set()
        assert accepted.result() == b"hello"
        drained.result(timeout=10)


def test_a_taken_port_is_named(port: Port) -> None:
    limits = ServerLimits()
    guard = Guard(lambda: port.snapshot[0], port.metrics, now, 4)
    run = lambda request, _call, _snapshot: request  # noqa: E731
    second = peer_server(guard, {method.name: run for method in METHODS}, limits, Health())
    with pytest.raises(AlreadyRunningError, match=port.address):
        add_peer_port(second, port.address, lambda: port.tls[0])


def test_our_own_channels_reach_it_and_read_its_refusals(port: Port) -> None:
    port.shanghai.endpoints = ("127.0.0.1:9", port.address)  # the first endpoint is dead
    channels = Channels(lambda: TlsLeaf(*LEAF), 256 * 1024)
    peer = port.shanghai.peer()
    try:
        assert channels.call(peer, ECHO, b"hello", 10) == b"hello"
        signed = seal(b"why", "t", [port.shanghai.message_key])

        def no(_: bytes, __: IncomingCall) -> bytes:
            refusal = RefusedError("KIND_NOT_GRANTED", "no", details={"kind": "degree"}, retry_after_s=2)
            raise SignedRefusalError(refusal, signed)

        port.handler[0] = no
        with pytest.raises(RefusedByPeerError) as error:
            channels.call(peer, ECHO, b"hello", 10)
        details = error.value.details
        assert (details.reason, details.metadata, details.retry_after_s) == (
            "KIND_NOT_GRANTED",
            (("kind", "degree"),),
            2,
        )
        assert details.signed == signed
    finally:
        channels.close()


def test_a_call_that_an_ending_server_cancels_is_one_without_an_answer() -> None:
    """Whether the peer logged it is unknown: it counts as unheard, not as a wrong answer."""

    class CancelledError(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.CANCELLED

        def trailing_metadata(self) -> tuple[()]:
            return ()

    assert fault_of(CancelledError(), 10).outcome == "UNREACHABLE"


def test_a_peer_that_came_back_is_reached_at_once(port: Port) -> None:
    """gRPC would refuse further calls for seconds after a failed connection; a person would ask again."""
    channels = Channels(lambda: TlsLeaf(*LEAF), 256 * 1024)
    address = f"127.0.0.1:{free_port()}"
    port.shanghai.endpoints = (address,)
    peer = port.shanghai.peer()
    limits = ServerLimits(threads=4)
    run = {method.name: lambda request, _call, _snapshot: request for method in METHODS}
    server = peer_server(port.guard, run, limits, Health())
    try:
        for _ in range(5):  # back-off grows with each attempt
            with pytest.raises(PeerFaultError) as fault:
                channels.call(peer, ECHO, b"hello", 10)
            assert fault.value.outcome == "UNREACHABLE"
        add_peer_port(server, address, lambda: port.tls[0])
        server.start()
        assert channels.call(peer, ECHO, b"hello", 10) == b"hello"
    finally:
        channels.close()
        server.stop(None).wait()
