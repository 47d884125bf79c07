"""Four provinces with three kinds of keys ask one another, over real TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.node.state import load_policy
from gateway.signing.suites import ED25519, ML_DSA_65, SM2
from tests.processes.provinces import ProcessNode, cli, introduce, make_node

SUITES = {"shanghai": (SM2,), "zhejiang": (SM2,), "jiangsu": (ED25519, ML_DSA_65), "anhui": (ED25519,)}


@pytest.fixture(scope="module")
def provinces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProcessNode]]:
    parent = tmp_path_factory.mktemp("federation")
    nodes: dict[str, ProcessNode] = {}
    for node_id, suites in SUITES.items():
        first = next(iter(nodes.values()), None)
        nodes[node_id] = make_node(parent, node_id, secret_from=first, suites=suites)
    introduce(*nodes.values())
    try:
        for node in nodes.values():
            node.start()
        yield nodes
    finally:
        for node in nodes.values():
            node.close()


@pytest.mark.parametrize("asker", SUITES)
def test_everybody_answers(provinces: dict[str, ProcessNode], asker: str) -> None:
    told = provinces[asker].query()
    assert {peer["id"]: peer["outcome"] for peer in told["peers"]} == dict.fromkeys(
        set(SUITES) - {asker}, "OK"
    )
    assert all(peer["receipt_verified"] for peer in told["peers"])


@pytest.mark.parametrize("node_id", SUITES)
def test_logs_and_cosignatures_verify_offline(provinces: dict[str, ProcessNode], node_id: str) -> None:
    node = provinces[node_id]
    node.query()
    cli("audit", "verify", "--node", str(node.folder.root))
    cli("audit", "verify", "--node", str(node.folder.root), "--ask-peers")


def test_the_cards_show_the_suites(provinces: dict[str, ProcessNode]) -> None:
    for node_id, suites in SUITES.items():
        card = provinces[node_id].card
        assert {key.key.suite for key in card.keys.values()} == set(suites)
        peer = load_policy(provinces["anhui"].folder, provinces["anhui"].config)[0].get(node_id)
        assert peer is None or peer.card.fingerprint == card.fingerprint


def test_init_makes_such_nodes(tmp_path: Path) -> None:
    for suite, files in {
        "sm2": {"message.pem", "log.pem", "witness.pem"},
        "ed25519+ml-dsa-65": {"message.pem", "message-ml-dsa-65.pem", "log.pem", "witness.pem"},
    }.items():
        folder = tmp_path / suite
        cli("init", str(folder), "--id", "zhejiang", "--suite", suite, "--federation-secret", "new")
        assert files <= {path.name for path in (folder / "keys").iterdir()}
        again = cli("init", str(folder), "--id", "zhejiang", "--suite", suite)
        assert "created" not in again.stdout
        shown = cli("check", "--node", str(folder), check=None)
        assert "keys" in shown.stdout
        told = cli("init", str(folder), "--id", "zhejiang", "--suite", "ed25519+ecdsa-p256+sm2", check=2)
        assert (
            'message = ["message.pem", "message-ecdsa-p256.pem", "message-sm2.pem"]'
            in told.stderr.replace("\n", " ")
        )
    for wrong in ("rsa", "ml-dsa-65", "sm2+sm2", "ml-dsa-65+ed25519"):
        told = cli("init", str(tmp_path / "wrong"), "--id", "zhejiang", "--suite", wrong, check=2)
        assert "--suite" in told.stderr
        assert not (tmp_path / "wrong").exists()
