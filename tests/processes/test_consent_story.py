"""A learner's consent over real processes: read, given, used, misused, taken back, forgotten."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.provinces import DEMO_LEARNER, ProcessNode, cli, introduce, make_node

GRANT = """
[[grant]]
peer = "zhejiang"
purposes = ["admission"]
kinds = ["degree", "course"]
consent_required = true
"""


@pytest.fixture(scope="module")
def provinces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProcessNode]]:
    """Zhejiang asks; Shanghai runs and answers with consent only; Anhui is away until a test starts it."""
    parent = tmp_path_factory.mktemp("consent")
    zhejiang = make_node(parent, "zhejiang", records=False)
    nodes = [zhejiang, *(make_node(parent, i, secret_from=zhejiang) for i in ("shanghai", "anhui"))]
    for node in nodes[1:]:
        node.folder.access.write_text(GRANT, encoding="utf-8")
    introduce(*nodes)
    for node in nodes[:2]:
        node.start()
    yield {node.node_id: node for node in nodes}
    for node in nodes:
        node.close()


def consent(node: ProcessNode, command: str, *arguments: object, check: int | None = 0, **how: object):
    return cli("consent", command, *map(str, arguments), "--node", str(node.folder.root), check=check, **how)


def grant(node: ProcessNode, out: Path, *arguments: str, **how: object):
    return consent(
        node, "grant", "--learner", DEMO_LEARNER, "--organisation", "Example University", "--purpose",
        "admission", "--kind", "degree", "--out", out, *arguments, **how,
    )  # fmt: skip


def ask(node: ProcessNode, peer: str, *arguments: object, check: int | None = 0) -> dict:
    done = cli(
        "query", "--node", str(node.folder.root), "--learner", DEMO_LEARNER, "--purpose", "admission",
        "--peer", peer, "--output", "json", *map(str, arguments), check=check,
    )  # fmt: skip
    return json.loads(done.stdout)


def outcome(found: dict) -> str:
    return found["peers"][0]["outcome"]


def test_the_life_of_a_consent(provinces: dict[str, ProcessNode], tmp_path: Path) -> None:
    zhejiang, shanghai, anhui = (provinces[i] for i in ("zhejiang", "shanghai", "anhui"))
    assert outcome(ask(zhejiang, "shanghai", check=1)) == "CONSENT_REQUIRED"
    assert outcome(ask(zhejiang, "shanghai", "--basis", "consent", check=1)) == "CONSENT_MISSING_HERE"

    # The learner reads it, and says no: nothing is signed.
    file = tmp_path / "consent.json"
    done = grant(zhejiang, file, "--answerer", "shanghai", "--language", "zh", check=1, typed="n\n")
    assert "本人单独同意" in done.stdout
    assert "Example University" in done.stdout
    assert not file.exists()
    assert json.loads(consent(zhejiang, "list", "--output", "json").stdout) == []

    # Then yes.
    done = grant(zhejiang, file, "--answerer", "shanghai", "--answerer", "anhui", typed="y\n")
    assert "for the purpose:  admission to a programme of study" in done.stdout
    assert file.stat().st_mode & 0o077 == 0
    assert DEMO_LEARNER not in file.read_text(encoding="utf-8")
    assert "degree" in consent(zhejiang, "show", file).stdout
    (listed,) = json.loads(consent(zhejiang, "list", "--learner", DEMO_LEARNER, "--output", "json").stdout)
    assert (listed["state"], listed["kinds"]) == ("live", ["degree"])

    # It is found by itself, shown from the file, and never goes further than it says.
    assert outcome(ask(zhejiang, "shanghai", "--basis", "consent")) == "OK"
    found = ask(zhejiang, "shanghai", "--consent", file)
    assert outcome(found) == "OK"
    assert {record["kind"] for record in found["records"]} <= {"degree"}
    wider = ask(zhejiang, "shanghai", "--consent", file, "--kind", "course", check=1)
    assert outcome(wider) == "CONSENT_MISSING_HERE"
    assert "rule kind" in wider["peers"][0]["reason"]

    # Taken back: Shanghai knows at once, Anhui as soon as it comes up, by asking or by being told.
    done = consent(zhejiang, "revoke", listed["consent"])
    assert "1 of 2 peers" in done.stdout
    assert outcome(ask(zhejiang, "shanghai", "--basis", "consent", check=1)) == "CONSENT_MISSING_HERE"
    anhui.start()
    assert _is_known(anhui, listed["consent"]), anhui.log_text
    assert _is_known(shanghai, listed["consent"])
    (listed,) = json.loads(consent(zhejiang, "list", "--output", "json").stdout)
    assert listed["state"] == "revoked"

    # Forgetting the learner takes back what is left, and erases it.
    grant(zhejiang, tmp_path / "second.json", "--answerer", "all", "--yes")
    told = cli("audit", "subject", "--node", str(zhejiang.folder.root), "--learner", DEMO_LEARNER).stdout
    assert "this person gave consent here, for admission" in told
    cli("audit", "erase", "--node", str(zhejiang.folder.root), "--learner", DEMO_LEARNER, "--yes")
    rows = json.loads(consent(zhejiang, "list", "--output", "json").stdout)
    assert [(row["state"], "organisation" in row) for row in rows] == [("revoked", False)] * 2
    assert cli("audit", "verify", "--node", str(zhejiang.folder.root)).stdout.startswith("intact")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--answerer", "henan"), "unknown node 'henan'"),
        (("--answerer", "shanghai", "--until", "soon"), "--until 'soon' is no date"),
        (("--answerer", "shanghai", "--until", "2001-01-01"), "past, or too far away"),
        (("--answerer", "shanghai", "--authentication", "trust-me"), "unknown authentication"),
        (("--answerer", "all", "--answerer", "shanghai"), "unknown node 'all'"),
    ],
)
def test_what_cannot_be_consented_to_is_said_in_words(
    provinces: dict[str, ProcessNode], tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    done = grant(provinces["zhejiang"], tmp_path / "consent.json", *arguments, "--yes", check=2)
    assert complaint in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_holds_no_consent_is_named(provinces: dict[str, ProcessNode], tmp_path: Path) -> None:
    zhejiang = provinces["zhejiang"]
    card = zhejiang.folder.card
    assert "holds no consent" in consent(zhejiang, "show", card, check=2).stderr
    assert "cannot be read" in consent(zhejiang, "show", tmp_path / "none.json", check=2).stderr
    assert "neither a consent's id nor a file" in consent(zhejiang, "revoke", "nonsense", check=2).stderr
    assert "issued no consent" in consent(zhejiang, "revoke", "00" * 16, check=2).stderr


def _is_known(node: ProcessNode, consent_id: str) -> bool:
    """Wait until ``node`` has logged that the consent was revoked."""
    from gateway.clock import monotonic_s

    end_s = monotonic_s() + 90
    while monotonic_s() < end_s:
        done = cli("audit", "show", "--node", str(node.folder.root), "--output", "json")
        entries = json.loads(done.stdout)
        if any(e.get("action") == "consent-revocation" and e["exchange_id"] == consent_id for e in entries):
            return True
    return False
