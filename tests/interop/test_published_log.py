"""Verifiers that nobody here wrote check what a node publishes; each also refuses a tampered twin.

They are programs of their own, run from ``.interop`` (``make test`` installs them there).
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.audit.checkpoint import size_of
from gateway.audit.cosigned import best_cosigned_checkpoint
from gateway.audit.proof_file import parse_proof_file
from gateway.audit.tile_directory import export_tiles, policy_text
from gateway.audit.tiles import StoredTiles
from gateway.clock import monotonic_s
from gateway.exchange.collect_evidence import Collector
from gateway.signing.cosignature import CosignatureVerifier
from gateway.storage import audit_rows, witness_rows
from gateway.upkeep.witnessing import Witnessing
from gateway.web.http_witness import HttpWitness
from tests.federation.simulator import LEARNER, Federation, SimulatedNode, make_federation
from tests.ports import free_port

SIGSTORE = Path(__file__).with_name("sigstore_verify.cjs")
SITE = Path(__file__).parents[2] / ".interop"


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    assert (SITE / "aics_tlog").is_dir(), "run `make test`: it installs the verifiers"
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(SITE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass
class Published:
    """A log of 300 entries, cosigned by a peer and exported."""

    node: SimulatedNode
    witness: CosignatureVerifier
    directory: Path

    @property
    def keys(self) -> list[str]:
        return ["--log-key", self.node.log.verifier.vkey, "--witness-key", self.witness.vkey, "--quorum", "1"]

    def leaf(self, index: int, path: Path) -> Path:
        with self.node.log.reading() as connection:
            path.write_bytes(audit_rows.read_entry(connection, index).leaf)
        return path


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    made = make_federation(tmp_path_factory.mktemp("interop"), "zhejiang", "shanghai")
    made["shanghai"].put(LEARNER, "Algebra")
    for _ in range(300):
        made["zhejiang"].ask("shanghai")
    made["shanghai"].witnessing.round()
    return made


@pytest.fixture(scope="module")
def published(federation: Federation, tmp_path_factory: pytest.TempPathFactory) -> Published:
    node, witness = federation["shanghai"], federation["zhejiang"].witness.verifier
    directory = tmp_path_factory.mktemp("published") / "tiles"
    with node.log.reading() as connection:
        note = best_cosigned_checkpoint(connection, 1)
        export_tiles(
            StoredTiles(connection, size_of(note)),
            note,
            policy_text(node.log.verifier, [witness], 1),
            directory,
        )
    assert size_of(note) == 300
    return Published(node, witness, directory)


@pytest.fixture
def tampered(published: Published, tmp_path: Path) -> Published:
    """The same export, for a test to change."""
    shutil.copytree(published.directory, tmp_path / "tiles")
    return Published(published.node, published.witness, tmp_path / "tiles")


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_aics_tlog_verifies_checkpoint_and_cosignature(published: Published, tampered: Published) -> None:
    note = published.directory / "checkpoint"
    assert run("aics_tlog", "verify-checkpoint", "--note", note, *published.keys).returncode == 0
    altered = note.read_text().replace("\n300\n", "\n301\n")
    (tampered.directory / "checkpoint").write_text(altered)
    done = run("aics_tlog", "verify-checkpoint", "--note", tampered.directory / "checkpoint", *tampered.keys)
    assert done.returncode != 0
    without = "".join(note.read_text().splitlines(keepends=True)[:-1])
    (tampered.directory / "checkpoint").write_text(without)
    done = run("aics_tlog", "verify-checkpoint", "--note", tampered.directory / "checkpoint", *tampered.keys)
    assert done.returncode != 0


@pytest.mark.parametrize("index", [0, 255, 256, 299])
def test_aics_tlog_verifies_entries_out_of_the_tiles(
    published: Published, tampered: Published, tmp_path: Path, index: int
) -> None:
    leaf = published.leaf(index, tmp_path / "leaf")
    arguments = ["verify-inclusion", "--leaf", leaf, "--index", index, *published.keys]
    done = run("aics_tlog", *arguments, "--tiles", published.directory)
    assert done.returncode == 0, done.stdout + done.stderr
    flip(leaf, 20)
    assert run("aics_tlog", *arguments, "--tiles", published.directory).returncode != 0
    leaf = published.leaf(index, tmp_path / "leaf")
    flip(tampered.directory / "tile/0" / ("000" if index < 256 else "001.p/44"), (index % 256) * 32)
    assert run("aics_tlog", *arguments, "--tiles", tampered.directory).returncode != 0


def test_aics_tlog_verifies_that_the_log_only_grew(published: Published, tmp_path: Path) -> None:
    with published.node.log.reading() as connection:
        notes = dict(audit_rows.stream_checkpoints(connection, -1))
    old = tmp_path / "old"
    old.write_text(notes[100])
    arguments = ["verify-consistency", "--old-checkpoint", old, "--tiles", published.directory]
    key = ["--log-key", published.node.log.verifier.vkey]
    done = run("aics_tlog", *arguments, *key)
    assert done.returncode == 0, done.stdout + done.stderr
    forked = notes[100].split("\n")
    forked[2] = notes[99].split("\n")[2]
    old.write_text("\n".join(forked))
    assert run("aics_tlog", *arguments, *key).returncode != 0


@pytest.mark.parametrize("index", [0, 150, 256, 299])
def test_tlog_scales_makes_the_same_proof_file(published: Published, tampered: Published, index: int) -> None:
    """A second implementation reads the tiles; its ``.tlog-proof`` is ours, byte for byte."""
    with published.node.log.reading() as connection:
        ours = Collector(connection, published.node.log.vault, ()).proof(index).render()
    done = run("tlog_scales.cli", "gen-proof", published.directory, index)
    assert (done.returncode, done.stdout) == (0, ours)
    sibling = index ^ 1
    flip(tampered.directory / "tile/0" / ("000" if index < 256 else "001.p/44"), (sibling % 256) * 32)
    done = run("tlog_scales.cli", "gen-proof", tampered.directory, index)
    assert done.stdout != ours


def test_tlog_scales_verifies_entries(published: Published, tampered: Published, tmp_path: Path) -> None:
    done = run("tlog_scales.cli", "get-leaf", "-c", published.directory, 299)
    assert done.returncode == 0
    assert done.stdout.encode() == published.leaf(299, tmp_path / "leaf").read_bytes()
    flip(tampered.directory / "tile/entries/001.p/44", 30)
    assert run("tlog_scales.cli", "get-leaf", "-c", tampered.directory, 256).returncode != 0


def test_our_proof_file_verifies_hash_by_hash_elsewhere(published: Published, tmp_path: Path) -> None:
    """The proof inside the file, given to aics-tlog without any tiles."""
    with published.node.log.reading() as connection:
        file = parse_proof_file(Collector(connection, published.node.log.vault, ()).proof(77).render())
    (tmp_path / "proof").write_text("".join(part.hex() + "\n" for part in file.proof))
    (tmp_path / "note").write_text(file.note)
    leaf = published.leaf(77, tmp_path / "leaf")
    arguments = ["verify-inclusion", "--leaf", leaf, "--index", 77, "--proof", tmp_path / "proof",
                 "--checkpoint", tmp_path / "note", *published.keys]  # fmt: skip
    done = run("aics_tlog", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "proof").write_text("".join(part.hex() + "\n" for part in file.proof[::-1]))
    assert run("aics_tlog", *arguments).returncode != 0


@pytest.mark.parametrize("index", [0, 77, 255, 256, 299])
def test_npms_own_verifier_accepts_our_proof_file(published: Published, tmp_path: Path, index: int) -> None:
    """Sigstore's JavaScript, by which npm checks provenance: log signature and inclusion."""
    with published.node.log.reading() as connection:
        text = Collector(connection, published.node.log.vault, ()).proof(index).render()
    leaf, proof = published.leaf(index, tmp_path / "leaf"), tmp_path / "proof"

    def verdict(content: str) -> tuple[int, str]:
        proof.write_text(content)
        command = ["node", SIGSTORE, proof, leaf, published.node.log.verifier.vkey]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout

    assert verdict(text) == (0, "included 300\n")
    lines = text.split("\n")
    for altered in (
        text.replace(f"index {index}\n", f"index {index ^ 1}\n"),
        text.replace(lines[2], lines[3]),
        text.replace("\n300\n", "\n301\n"),
    ):
        status, said = verdict(altered)
        assert (status, said.startswith("rejected: ")) == (1, True)
    flip(leaf, 20)
    assert verdict(text)[0] == 1


@dataclass
class ForeignWitness:
    """A running ``aics-witness`` that trusts one log."""

    folder: Path
    verifier: CosignatureVerifier
    url: str

    def evidence(self) -> list[dict]:
        done = run("aics_witness", "evidence", "--config", self.folder / "witness.json")
        return json.loads(done.stdout)


@pytest.fixture
def foreign(federation: Federation, tmp_path: Path) -> Iterator[ForeignWitness]:
    config, address = tmp_path / "witness.json", f"127.0.0.1:{free_port()}"
    name = "witness.example.org/w1"
    done = run("aics_witness", "init", "--config", config, "--name", name, "--listen", address)
    assert done.returncode == 0, done.stderr
    vkey = next(word for word in done.stdout.split() if word.startswith(f"{name}+"))
    log = federation["shanghai"].log
    arguments = ["--config", config, "--origin", log.origin, "--vkey", log.verifier.vkey]
    assert run("aics_witness", "add-log", *arguments).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "aics_witness", "serve", "--config", str(config)],
        env=os.environ | {"PYTHONPATH": str(SITE)},
        stderr=subprocess.DEVNULL,
    )
    verifier = CosignatureVerifier.from_vkey(vkey)
    found = ForeignWitness(tmp_path, verifier, f"http://{address}")
    end_s = monotonic_s() + 30
    while monotonic_s() < end_s:
        try:
            HttpWitness(verifier, found.url).witnessed(log.origin)
            break
        except Exception:  # noqa: BLE001 - it is not up yet
            continue
    yield found
    process.terminate()
    process.wait()


def with_witness(node: SimulatedNode, foreign: ForeignWitness) -> Witnessing:
    peers = node.snapshot.roster
    witness = HttpWitness(foreign.verifier, foreign.url)
    return Witnessing(node.log, node.witness, lambda: peers, node.wire, node.metrics, [witness])


def test_a_foreign_witness_cosigns_our_log_as_it_grows(
    federation: Federation, foreign: ForeignWitness
) -> None:
    shanghai = federation["shanghai"]
    witnessing = with_witness(shanghai, foreign)
    witnessing.round()
    federation["zhejiang"].ask("shanghai")
    witnessing.round()
    with shanghai.log.reading() as connection:
        rows = {row.witness: row.size for row in witness_rows.read_newest_cosignatures(connection)}
    assert rows[foreign.verifier.name] == shanghai.log.size
    assert shanghai.log.halted is None


def test_a_foreign_witness_refuses_a_fork_and_the_node_stops(
    federation: Federation, foreign: ForeignWitness
) -> None:
    shanghai, zhejiang = federation["shanghai"], federation["zhejiang"]
    honest, copy = shanghai.database, shanghai.copy_log(f"{foreign.folder.name}.db")
    zhejiang.ask("shanghai")
    with_witness(shanghai, foreign).round()
    forked = shanghai.open_log(copy)
    zhejiang.ask("shanghai")
    with_witness(shanghai, foreign).round()
    assert forked.halted is not None
    assert "another root" in str(forked.halted)
    assert {row["origin"] for row in foreign.evidence()} == {forked.origin}
    shanghai.open_log(honest)
