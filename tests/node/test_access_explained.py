"""May they ask, and which line says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.clock import system_clock, unix_ms
from gateway.node.access_explained import Explanation, explain_access
from gateway.peers.roster import load_roster
from gateway.policy.purposes import KINDS, PURPOSES
from gateway.policy.quotas import day_at
from gateway.storage import quota_rows
from gateway.storage.engine import open_engine, writing
from tests.processes.provinces import ProcessNode, cli, introduce, make_node

ACCESS = """# grants
[[grant]]
peer = "shanghai"
purposes = ["employment"]
kinds = [
    "degree",  # not "course"
    "x-certificate",
]
consent_required = false
statutory_basis = "an agreement"

[[grant]]
peer = "shanghai"
purposes = ["admission"]
kinds = ["degree"]

[[quota]]
peer = "shanghai"
learners_per_day = 10

[[rate]]
peer = "shanghai"
calls_per_second = 7
"""


@pytest.fixture(scope="module")
def zhejiang(tmp_path_factory: pytest.TempPathFactory) -> ProcessNode:
    parent = tmp_path_factory.mktemp("access")
    nodes = [make_node(parent, name, records=False) for name in ("zhejiang", "shanghai")]
    introduce(*nodes)
    nodes[0].folder.access.write_text(ACCESS, encoding="utf-8")
    return nodes[0]


def explained(node: ProcessNode, purpose: str, kind: str, *, consent: bool = False, peer: str = "shanghai"):
    roster = load_roster(node.folder.peers, "zhejiang")
    question = (peer, PURPOSES[purpose], [KINDS[kind]])
    return explain_access(node.folder, node.config, roster, question, has_consent=consent, now=system_clock())


def line(found: Explanation) -> tuple[str, str, str]:
    (one,) = found.decisions
    return one.outcome, one.line.place, one.line.text


@pytest.mark.parametrize(
    ("purpose", "kind", "consent", "outcome", "place", "text"),
    [
        ("employment", "x-certificate", False, "GRANTED", "access.toml:7", '"x-certificate",'),
        ("employment", "degree", True, "GRANTED", "access.toml:6", '"degree",  # not "course"'),
        ("employment", "training", False, "KIND_NOT_GRANTED", "access.toml:5", "kinds = ["),
        ("admission", "degree", False, "CONSENT_REQUIRED", "access.toml:12", "[[grant]]"),
        ("admission", "degree", True, "GRANTED", "access.toml:15", 'kinds = ["degree"]'),
        (
            "public-service",
            "degree",
            True,
            "PURPOSE_NOT_GRANTED",
            "access.toml",
            "no [[grant]] of shanghai names the purpose public-service.",
        ),
    ],
)
def test_the_line_that_decides(
    zhejiang: ProcessNode, purpose: str, kind: str, consent: bool, outcome: str, place: str, text: str
) -> None:
    found = explained(zhejiang, purpose, kind, consent=consent)
    assert line(found) == (outcome, place, text)
    assert found.is_allowed is (outcome == "GRANTED")


def test_rate_and_what_is_left_of_the_quota(zhejiang: ProcessNode) -> None:
    found = explained(zhejiang, "employment", "degree")
    assert (found.calls_per_second, found.rate_line.place) == (7, "access.toml:23")
    assert [(q.left, q.line.place) for q in found.quotas] == [(10, "access.toml:19")]
    engine = open_engine(zhejiang.folder.database_url(zhejiang.config.database.url))
    day = day_at(system_clock(), "Asia/Shanghai").name
    for added, left in ((4, 6), (6, 0)):
        with writing(engine) as transaction:
            quota_rows.add_use(transaction, {(day, "shanghai", "employment"): added})
        found = explained(zhejiang, "employment", "degree")
        assert (found.quotas[0].left, found.is_allowed) == (left, left > 0)
    with writing(engine) as transaction:
        quota_rows.delete_use(transaction, "9999-01-01")
    engine.dispose()
    assert unix_ms(found.day.ends) > unix_ms(system_clock())


def test_who_may_ask_nothing_at_all(zhejiang: ProcessNode) -> None:
    assert line(explained(zhejiang, "employment", "degree", peer="henan"))[:2] == ("UNKNOWN_PEER", "peers")
    file = zhejiang.folder.peers / "shanghai.toml"
    active = file.read_text(encoding="utf-8")
    assert 'state = "active"' in active
    file.write_text(active.replace('state = "active"', 'state = "suspended"'), encoding="utf-8")
    outcome, place, text = line(explained(zhejiang, "employment", "degree"))
    file.write_text(active, encoding="utf-8")
    assert outcome == "PEER_SUSPENDED"
    assert place.startswith("peers/shanghai.toml:")
    assert text.startswith('state = "suspended"')


def test_the_commands_answer_in_words_json_and_exit_status(zhejiang: ProcessNode, tmp_path: Path) -> None:
    where = ("--node", str(zhejiang.folder.root))
    ask = ("access", "explain", "--peer", "shanghai", "--purpose", "employment", *where)
    told = cli(*ask, "--kind", "x-certificate").stdout
    assert told.startswith("yes: shanghai may ask zhejiang for x-certificate, for employment.")
    assert "access.toml:7" in told
    assert "not needed: an agreement" in told
    assert "10 of 10 learners" in told
    facts = json.loads(cli(*ask, "--kind", "training", "--output", "json", check=1).stdout)
    assert (facts["allowed"], facts["kinds"][0]["outcome"]) == (False, "KIND_NOT_GRANTED")
    (row,) = json.loads(cli("access", "list", *where, "--output", "json").stdout)
    assert row["grants"]["degree"]["admission"] == "consent"
    assert row["grants"]["x-certificate"] == dict.fromkeys(PURPOSES, "-") | {"employment": "yes"}
    assert "nothing to mend" in cli("access", "check", *where).stdout
    zhejiang.folder.access.write_text(
        ACCESS + '\n[[quota]]\npeer = "henan"\nlearners_per_day = 0\n', encoding="utf-8"
    )
    found = json.loads(cli("access", "check", *where, "--output", "json", check=1).stdout)
    assert any("no accepted peer" in finding for finding in found)
    zhejiang.folder.access.write_text(ACCESS + '\n[day]\ntime_zone = "Mars/Olympus"\n', encoding="utf-8")
    assert "day.time_zone" in cli("access", "check", *where, check=2).stderr
    zhejiang.folder.access.write_text(ACCESS, encoding="utf-8")
