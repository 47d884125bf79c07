"""Stories of the audit log over real processes: evidence, witnesses, a restored backup, erasure."""

import json
import shutil
import sqlite3
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import system_clock
from gateway.peers.onboarding import accept
from tests.ports import free_port
from tests.processes.provinces import DEMO_LEARNER, ProcessNode, cli, introduce, make_node


@pytest.fixture(scope="module")
def provinces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProcessNode]]:
    parent = tmp_path_factory.mktemp("audit")
    zhejiang = make_node(parent, "zhejiang", records=False)
    nodes = [zhejiang, *(make_node(parent, i, secret_from=zhejiang) for i in ("shanghai", "anhui"))]
    for node in nodes:  # rounds of witnessing when a story asks for one, and an open page each
        text = node.folder.config.read_text(encoding="utf-8")
        settings = f'[audit]\ncosign_s = 3600\nlisten = "127.0.0.1:{free_port()}"'
        node.folder.config.write_text(text.replace("[audit]", settings, 1), encoding="utf-8")
    introduce(*nodes)
    for node in nodes:
        node.start()
    yield {node.node_id: node for node in nodes}
    for node in nodes:
        node.close()


def audit(node: ProcessNode, command: str, *arguments: object, check: int | None = 0) -> str:
    done = cli("audit", command, "--node", str(node.folder.root), *map(str, arguments), check=check)
    return done.stdout


def exchange_with(node: ProcessNode, peer: str) -> str:
    entries = json.loads(audit(node, "show", "--output", "json", "--peer", peer))
    return [e["exchange_id"] for e in entries if e["kind"] == "exchange" and e["outcome"] == "OK"][-1]


def test_evidence_leaves_one_node_and_is_verified_where_nobody_knows_either(
    provinces: dict[str, ProcessNode], tmp_path: Path
) -> None:
    zhejiang = provinces["zhejiang"]
    zhejiang.query()
    bundle = tmp_path / "evidence.json"
    root = str(zhejiang.folder.root)
    early = cli("audit", "export", "--node", root, exchange_with(zhejiang, "shanghai"))
    assert "No witness has cosigned this entry yet" in early.stderr
    audit(zhejiang, "witness", "--now")
    audit(zhejiang, "export", exchange_with(zhejiang, "shanghai"), "--out", bundle)
    facts = json.loads(cli("audit", "verify", str(bundle), "--output", "json", cwd=tmp_path).stdout)
    assert facts["verified"]
    assert (facts["asker"], facts["answerer"], facts["outcome"]) == ("zhejiang", "shanghai", "OK")
    assert set(facts["cosigned_by"]) == {"audit.anhui.example/witness", "audit.shanghai.example/witness"}
    assert not any(card["compared"] for card in facts["cards"].values())
    cards = [str(provinces[n].folder.card) for n in ("zhejiang", "shanghai")]
    facts = json.loads(
        cli("audit", "verify", str(bundle), "--output", "json", "--card", cards[0], "--card", cards[1]).stdout
    )
    assert facts["cards"]["shanghai"]["compared"]
    content = bundle.read_text(encoding="utf-8")
    bundle.write_text(content.replace("employment", "enjoyment!"), encoding="utf-8")
    done = cli("audit", "verify", str(bundle), check=1)
    assert "NOT VERIFIED" in done.stdout


def test_one_record_is_disclosed_and_the_look_is_logged(
    provinces: dict[str, ProcessNode], tmp_path: Path
) -> None:
    zhejiang = provinces["zhejiang"]
    zhejiang.query()
    exchange = exchange_with(zhejiang, "shanghai")
    listed = audit(zhejiang, "disclose", exchange)
    assert "Choose one with --record" in listed
    audit(zhejiang, "disclose", exchange, "--record", 0, "--out", tmp_path / "one.json")
    facts = json.loads(cli("audit", "verify", str(tmp_path / "one.json"), "--output", "json").stdout)
    assert facts["record"]["source"] == "shanghai"
    newest = json.loads(audit(zhejiang, "show", "--output", "json", "--last", "1"))[0]
    assert (newest["action"], newest["exchange_id"]) == ("evidence-opened", exchange)


def test_the_published_tiles_are_the_log(provinces: dict[str, ProcessNode], tmp_path: Path) -> None:
    shanghai = provinces["shanghai"]
    provinces["zhejiang"].query()
    audit(shanghai, "witness", "--now")
    audit(shanghai, "export", "--tiles", tmp_path / "tiles")
    cards = [argument for node in provinces.values() for argument in ("--card", str(node.folder.card))]
    done = cli("audit", "verify", str(tmp_path / "tiles"), *cards)
    assert "cosigned by: audit.anhui.example/witness, audit.zhejiang.example/witness" in done.stdout
    with urllib.request.urlopen(f"http://{shanghai.config.audit.listen}/checkpoint") as page:
        assert page.read().decode().startswith(f"{shanghai.config.audit.origin}\n")
    proof = audit(shanghai, "prove", "0", "--leaf", tmp_path / "leaf")
    assert proof.startswith("c2sp.org/tlog-proof@v1\nindex 0\n")
    assert json.loads((tmp_path / "leaf").read_bytes())["kind"] == "exchange"


def test_logs_are_compared_and_a_hidden_entry_is_found(provinces: dict[str, ProcessNode]) -> None:
    zhejiang = provinces["zhejiang"]
    zhejiang.query()
    said = audit(zhejiang, "reconcile", "--peer", "shanghai", "--settle", "0")
    assert said.startswith("no differences with shanghai")
    said = audit(
        provinces["shanghai"], "reconcile", "--peer", "zhejiang", "--settle", "0", "--since", "2026-01-01"
    )
    assert said.startswith("no differences with zhejiang")
    done = cli("audit", "reconcile", "--node", str(zhejiang.folder.root), "--peer", "henan", check=2)
    assert "unknown peer" in done.stderr
    done = cli(
        "audit", "reconcile", "--node", str(zhejiang.folder.root), "--peer", "anhui", "--since", "soon", check=2
    )  # fmt: skip
    assert "--since 'soon' is no date" in done.stderr


def test_a_learner_is_told_and_then_forgotten(provinces: dict[str, ProcessNode]) -> None:
    zhejiang = provinces["zhejiang"]
    zhejiang.query()
    told = audit(zhejiang, "subject", "--learner", DEMO_LEARNER)
    assert "about this person, for a job application." in told
    assert DEMO_LEARNER not in told
    assert "向上海市" in audit(zhejiang, "subject", "--learner", DEMO_LEARNER, "--language", "zh")
    said = audit(zhejiang, "erase", "--learner", DEMO_LEARNER, "--yes")
    assert "2 peers are told by signed notice" in said
    assert audit(zhejiang, "subject", "--learner", DEMO_LEARNER) == "There is nothing about this person.\n"
    assert audit(zhejiang, "verify").startswith("intact")
    newest = json.loads(audit(provinces["shanghai"], "show", "--output", "json", "--last", "1"))[0]
    assert (newest["action"], newest["peer"], newest["reason"]) == (
        "erasure-notice", "zhejiang", "learner-request",
    )  # fmt: skip


def test_a_verification_that_was_interrupted_goes_on(provinces: dict[str, ProcessNode]) -> None:
    zhejiang = provinces["zhejiang"]
    zhejiang.query()
    mark = zhejiang.folder.run / "verified-entries"
    mark.write_text("1\n", encoding="ascii")
    report = json.loads(audit(zhejiang, "verify", "--resume", "--output", "json"))
    assert (report["intact"], report["verified_from"]) == (True, 1)
    assert not mark.exists()
    mark.write_text("999999\n", encoding="ascii")  # a mark that leads nowhere is worth nothing
    report = json.loads(audit(zhejiang, "verify", "--resume", "--output", "json"))
    assert (report["intact"], report["verified_from"]) == (True, 0)


def test_a_restored_backup_does_not_serve_until_the_operator_has_decided(
    provinces: dict[str, ProcessNode], tmp_path: Path
) -> None:
    zhejiang, shanghai = provinces["zhejiang"], provinces["shanghai"]
    root = str(shanghai.folder.root)
    assert shanghai.stop() == 0
    database = shanghai.folder.root / "data" / "node.db"
    shutil.copy(database, tmp_path / "backup.db")
    shanghai.start()
    zhejiang.query("--peer", "shanghai")
    audit(shanghai, "witness", "--now")
    assert shanghai.stop() == 0
    size = _entries(database)
    shutil.copy(tmp_path / "backup.db", database)
    for left in database.parent.glob("node.db-*"):
        left.unlink()
    assert audit(shanghai, "verify").startswith("intact")  # it agrees with itself
    done = cli("audit", "verify", "--node", root, "--ask-peers", check=1)
    assert f"a signed checkpoint covers {size} entries" in done.stdout
    done = cli("serve", "--node", root, check=2)
    assert f"of {size} entries, the database has {size - 1}: the last 1 are missing here" in done.stderr
    assert "accept-rollback" in done.stderr
    done = cli("audit", "accept-rollback", "--node", root, "--yes")
    assert "audit.shanghai.example/2026/restored-1" in done.stdout
    assert cli("audit", "accept-rollback", "--node", root, "--yes", check=2).stderr.count("nothing to accept")
    shanghai.start()
    accept(shanghai.card, zhejiang.folder.peers, system_clock())
    accept(shanghai.card, provinces["anhui"].folder.peers, system_clock())
    _until_known(zhejiang, shanghai)
    found = zhejiang.query("--peer", "shanghai", check=None)
    # What is signed before the fence ends is refused: the replay guard forgot what it had seen.
    assert found["peers"][0]["outcome"] in ("OK", "ISSUED_BEFORE_START")
    entry = [
        e for e in json.loads(audit(shanghai, "show", "--output", "json")) if e.get("action") == "restore"
    ]
    assert [(e["count"], e["reason"]) for e in entry] == [(1, "rollback-accepted")]
    assert audit(shanghai, "verify").startswith("intact")
    audit(shanghai, "witness", "--now")
    assert audit(shanghai, "verify", "--ask-peers").startswith("intact")


def _entries(database: Path) -> int:
    with sqlite3.connect(database) as connection:
        (size,) = connection.execute("SELECT size FROM audit_tree").fetchone()
    connection.close()
    return int(size)


def _until_known(node: ProcessNode, other: ProcessNode) -> None:
    """Wait until ``node`` has taken up the new card of ``other``, and so cosigns its log again."""
    from gateway.clock import monotonic_s

    end_s = monotonic_s() + 30
    while monotonic_s() < end_s:
        audit(other, "witness", "--now")
        if f'"log": "{other.config.audit.origin}"' in audit(node, "witness", "--output", "json"):
            return
    raise AssertionError(node.log_text)
