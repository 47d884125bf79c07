"""The open HTTP page: tiles as the specification names them, and a witness that answers as it says."""

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import urllib3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import Checkpoint
from gateway.audit.tile_directory import policy_text, verify_tiles
from gateway.audit.tiles import tiles_of
from gateway.errors import AlreadyRunningError, PeerFaultError, RefusedError
from gateway.signing.cosignature import cosignatures_of
from gateway.signing.signed_note import NoteVerifier
from gateway.upkeep.witnessing import InconsistentError, OutdatedError
from gateway.web.add_checkpoint import parse_body, render_body
from gateway.web.http_witness import HttpWitness
from gateway.web.log_page import LogPage, LogServer
from tests.federation.simulator import LEARNER, Federation, make_federation
from tests.ports import free_port

HTTP = urllib3.PoolManager(retries=False)


@dataclass
class Served:
    url: str
    federation: Federation
    logs: dict[str, NoteVerifier]

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        return HTTP.request("GET", self.url + path)

    def post(self, body: bytes) -> urllib3.BaseHTTPResponse:
        return HTTP.request("POST", self.url + "/add-checkpoint", body=body)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Zhejiang's page; it witnesses Shanghai's log and what a test adds."""
    federation = make_federation(tmp_path, "zhejiang", "shanghai")
    federation["shanghai"].put(LEARNER, "Algebra")
    for _ in range(3):
        federation["zhejiang"].ask("shanghai")
    zhejiang = federation["zhejiang"]
    shanghai = federation["shanghai"].log.verifier
    logs = {shanghai.name: shanghai}
    address = f"127.0.0.1:{free_port()}"
    server = LogServer(LogPage(zhejiang.log, zhejiang.witness, lambda: logs), address)
    server.start()
    yield Served(f"http://{address}", federation, logs)
    server.stop()


def test_the_log_can_be_fetched_and_verified_tile_by_tile(served: Served, tmp_path: Path) -> None:
    zhejiang = served.federation["zhejiang"]
    directory = tmp_path / "fetched"
    note = served.get("/checkpoint").data
    for tile in tiles_of(3):
        answer = served.get(f"/{tile.path}")
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
        (directory / tile.path).parent.mkdir(parents=True)
        (directory / tile.path).write_bytes(answer.data)
    (directory / "checkpoint").write_bytes(note)
    (directory / "policy").write_text(policy_text(zhejiang.log.verifier, [], 0))
    assert verify_tiles(directory, zhejiang.log.verifier).checkpoint.size == 3


@pytest.mark.parametrize(
    "path", ["/", "/tile/0/001", "/tile/0/000.p/4", "/tile/0/../../node.toml", "/metrics", "/" + "0" * 64]
)
def test_there_is_nothing_else(served: Served, path: str) -> None:
    assert served.get(path).status == 404


def test_nothing_is_deleted_or_put(served: Served) -> None:
    for method in ("DELETE", "PUT", "PATCH"):
        assert HTTP.request(method, served.url + "/checkpoint").status == 405


def test_a_witness_over_http_cosigns_and_shows_what_it_has_cosigned(served: Served) -> None:
    shanghai, zhejiang = served.federation["shanghai"], served.federation["zhejiang"]
    witness = HttpWitness(zhejiang.witness.verifier, served.url)
    note = shanghai.log.latest_checkpoint()
    line = witness.add_checkpoint(0, [], note)
    assert [c.name for c in cosignatures_of(note + line, [witness.verifier])] == [witness.verifier.name]
    assert witness.witnessed(shanghai.log.origin) == note + line
    digest = sha256(shanghai.log.origin.encode()).hexdigest()
    assert served.get(f"/{digest}/checkpoint").data.decode() == note + line


def test_its_statuses_are_those_of_the_specification(served: Served) -> None:
    shanghai, zhejiang = served.federation["shanghai"], served.federation["zhejiang"]
    note, signer = shanghai.log.latest_checkpoint(), shanghai.log._signers[0]
    assert served.post(b"old 0\n").status == 400
    assert served.post(render_body(9, [], note)).status == 400
    assert served.post(render_body(0, [bytes(32)] * 64, note)).status == 400
    assert served.post(render_body(0, [], zhejiang.log.latest_checkpoint())).status == 404
    forged = Checkpoint(shanghai.log.origin, 3, bytes(32)).sign([zhejiang.log._signers[0]])
    assert served.post(render_body(0, [], forged)).status == 403
    assert served.post(render_body(0, [], note)).status == 200
    outdated = served.post(render_body(0, [], note))
    assert (outdated.status, outdated.data, outdated.headers["content-type"]) == (
        409, b"3\n", "text/x.tlog.size",
    )  # fmt: skip
    other = Checkpoint(shanghai.log.origin, 3, b"\1" * 32).sign([signer])
    assert served.post(render_body(3, [], other)).status == 422
    larger = Checkpoint(shanghai.log.origin, 4, b"\1" * 32).sign([signer])
    assert served.post(render_body(3, [bytes(32)], larger)).status == 422
    assert served.post(b"x" * 200_000).status == 413
    assert len(zhejiang.witness.conflicts()) == 1


def test_our_client_understands_them(served: Served) -> None:
    shanghai, zhejiang = served.federation["shanghai"], served.federation["zhejiang"]
    witness = HttpWitness(zhejiang.witness.verifier, served.url)
    note = shanghai.log.latest_checkpoint()
    witness.add_checkpoint(0, [], note)
    with pytest.raises(OutdatedError) as outdated:
        witness.add_checkpoint(0, [], note)
    assert outdated.value.size == 3
    other = Checkpoint(shanghai.log.origin, 3, b"\1" * 32).sign([shanghai.log._signers[0]])
    with pytest.raises(InconsistentError):
        witness.add_checkpoint(3, [], other)
    with pytest.raises(PeerFaultError, match="answered 404"):
        witness.add_checkpoint(0, [], zhejiang.log.latest_checkpoint())
    assert witness.witnessed("unknown") == ""
    gone = HttpWitness(zhejiang.witness.verifier, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(PeerFaultError, match="does not answer"):
        gone.add_checkpoint(0, [], note)


# FiloSottile/torchwood, internal/witness/witness_test.go (tests/vectors/SOURCES.md)
SIGSUM = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562"
PROOF_1_TO_3 = (
    "KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "KgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
)
ROOT_1 = "KgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
ROOT_3 = "RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0="


def test_the_published_proof_is_accepted(served: Served) -> None:
    """The tree and proof of the reference witness's test, signed by our own log under its origin."""
    from gateway.signing.signed_note import NoteSigner

    private = served.federation["shanghai"].province.log_key.private
    signer = NoteSigner(SIGSUM, private)
    served.logs[SIGSUM] = signer.verifier
    assert isinstance(signer.verifier.public, Ed25519PublicKey)
    one = Checkpoint(SIGSUM, 1, b64decode(ROOT_1)).sign([signer])
    three = Checkpoint(SIGSUM, 3, b64decode(ROOT_3)).sign([signer])
    proof = [b64decode(line) for line in PROOF_1_TO_3]
    assert served.post(render_body(0, [], one)).status == 200
    assert served.post(render_body(1, proof[::-1], three)).status == 422
    assert served.post(render_body(1, proof, three)).status == 200


@given(st.integers(0, 2**62), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_bodies_survive_writing_and_reading(old_size: int, proof: list[bytes]) -> None:
    note = "origin\n1\nroot\n\n— origin AAAA\n"
    parsed = parse_body(render_body(old_size, proof, note))
    assert (parsed.old_size, list(parsed.proof), parsed.note) == (old_size, proof, note)


@pytest.mark.parametrize(
    "body",
    [b"", b"old 1", b"old 01\n\nx", b"old -1\n\nx", b"new 1\n\nx", b"old 1\nAAAA\n\nx", b"old 1\r\n\r\nx",
     b"old 1\n\xff\n\nx", b"old 1\n\n\xff"],
)  # fmt: skip
def test_malformed_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_body(body)
    assert refused.value.reason == "MALFORMED_MESSAGE"


def test_a_port_in_use_is_told(served: Served) -> None:
    address = served.url.removeprefix("http://")
    zhejiang = served.federation["zhejiang"]
    with pytest.raises(AlreadyRunningError, match=r"audit\.listen"):
        LogServer(LogPage(zhejiang.log, zhejiang.witness, dict), address)
