"""A real Prometheus scrapes real nodes; faults are done to them, and the alerts fire.

The rules are those of deploy/prometheus with short durations (scaled_rules). By default two nodes and the
faults that are quick; `make monitoring` runs four nodes and every fault that can be done from outside. What
can be seen by unit tests of the rules only stands in :data:`BY_UNIT_TEST`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from creditexchange.v1.archive_pb2 import SearchRecordsRequest
from gateway.cli.local_node import local_node
from gateway.clock import system_clock
from gateway.node.card_file import present_card
from gateway.node.config import load_config
from gateway.node.folder import load_keys
from gateway.node.lock import find_running
from gateway.peers.card import CARD_DAYS
from gateway.peers.node_ca import CA_DAYS
from gateway.peers.onboarding import accept
from gateway.rpc.local_clients import OperatorClient
from gateway.schemes import load_scheme
from tests.federation.simulator import EMPLOYMENT, STATUTE
from tests.processes.provinces import DEMO_LEARNER, ProcessNode, cli, introduce, make_node
from tests.telemetry import faults
from tests.telemetry.prometheus_server import Prometheus, prometheus
from tests.telemetry.promql import EXPOSED, rules

FULL = bool(os.environ.get("MONITORING_FULL"))
PROVINCES = ("zhejiang", "shanghai", "jiangsu", "anhui") if FULL else ("zhejiang", "shanghai")

BY_UNIT_TEST = {
    "CreditGatewayDefect": "a defect cannot be ordered",
    "CreditGatewayUpkeepFails": "upkeep looks once a minute, and must fail three times",
    "CreditGatewaySourceFails": "needs a database of the province",
    "CreditGatewayRecordsOutdated": "is cleared within seconds; only a scheme that lacks rules keeps it",
    "CreditGatewayRevocationNotTold": "needs a learner's consent",
}
"""Alerts that are seen firing in deploy/prometheus/tests only, and why."""

QUICK = {
    "CreditGatewayPeerClockOff",
    "CreditGatewaySignatureFailures",
    "CreditGatewayReplays",
    "CreditGatewayConfigRefused",
    "CreditGatewayFilesExhausted",
    "CreditGatewayDown",
    "CreditGatewayPeerSilent",
}
EXPECTED = {rule["alert"] for rule in rules() if "alert" in rule} - BY_UNIT_TEST.keys() if FULL else QUICK
OLD = {"CreditGatewayCardExpires", "CreditGatewayCardExpiresThisWeek", "CreditGatewayCertificateExpires"}
"""They fire from the beginning: one node was made old."""


def old_node(parent: Path, node_id: str, secret_from: ProcessNode) -> ProcessNode:
    """A node whose TLS authority was made nearly ten years ago."""
    return make_node(
        parent, node_id, secret_from=secret_from, now=system_clock() - timedelta(days=CA_DAYS - 50)
    )


def accept_old_card(node: ProcessNode, others: list[ProcessNode]) -> None:
    """The others hold a card of the node that was made nearly a year ago."""
    node.folder.card.unlink(missing_ok=True)
    made = system_clock() - timedelta(days=CARD_DAYS - 5)
    scheme = load_scheme(node.folder.scheme).reference
    config = load_config(node.folder.root)
    card = present_card(node.folder, config, load_keys(node.folder, config), scheme, made)
    for other in others:
        accept(card, other.folder.peers, system_clock())


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    made: dict[str, ProcessNode] = {}
    for node_id in PROVINCES:
        first = made.get(PROVINCES[0])
        if node_id == "anhui":
            made[node_id] = old_node(folder, node_id, first)
        else:
            made[node_id] = make_node(folder, node_id, secret_from=first)
    introduce(*made.values())
    if FULL:
        accept_old_card(made["anhui"], [made[n] for n in PROVINCES[:-1]])
    for node in made.values():
        text = node.folder.config.read_text(encoding="utf-8")
        node.folder.config.write_text(
            text.replace("[audit]\n", "[audit]\ncosign_s = 1.0\n", 1), encoding="utf-8"
        )
    try:
        for node in made.values():
            node.start()
        yield made
    finally:
        for node in made.values():
            node.close()


def until_fired(
    server: Prometheus, names: set[str], fault: Callable[[], object], times: int = 6, wait_s: float = 25
) -> None:
    """Do the fault, again if need be, until every one of ``names`` is firing."""
    for _ in range(times):
        fault()
        if server.await_fired(*names, timeout_s=wait_s):
            return
    raise AssertionError((names - server.fired.keys(), server.fired))


def test_every_alert_fires_by_its_fault(nodes, tmp_path: Path) -> None:
    zhejiang, shanghai = nodes["zhejiang"], nodes["shanghai"]
    targets = {node_id: node.config.listen.metrics for node_id, node in nodes.items()}
    with prometheus(tmp_path / "prometheus", targets) as server:
        server.await_scraped(len(nodes))
        zhejiang.query(check=None)
        shown = {
            name + suffix
            for name in server.metric_names()
            for suffix in ("", "_total", "_bucket", "_count", "_sum")
        }
        assert {name for name in EXPOSED if name.startswith("credit_gateway")} <= shown
        server.await_fired("nothing", timeout_s=6)
        assert server.fired.keys() <= (OLD if FULL else set())
        until_fired(server, {"CreditGatewayPeerClockOff"}, lambda: faults.wrong_clock(zhejiang, shanghai))
        until_fired(server, {"CreditGatewaySignatureFailures"}, lambda: faults.forged(zhejiang, shanghai))
        until_fired(server, {"CreditGatewayReplays"}, lambda: faults.replayed(zhejiang, shanghai))
        if FULL:
            four_nodes(nodes, server, tmp_path)
        until_fired(server, {"CreditGatewayConfigRefused"}, lambda: faults.broken_configuration(zhejiang))
        until_fired(server, {"CreditGatewayFilesExhausted"}, lambda: faults.few_files(zhejiang))
        if shanghai.process is not None:
            shanghai.kill()
        until_fired(server, {"CreditGatewayDown", "CreditGatewayPeerSilent"}, lambda: None)
        assert server.fired.keys() >= EXPECTED, EXPECTED - server.fired.keys()


def four_nodes(nodes: dict[str, ProcessNode], server: Prometheus, folder: Path) -> None:
    """The faults that need time, other nodes, or a look at logs."""
    zhejiang, shanghai, jiangsu, anhui = (nodes[node_id] for node_id in PROVINCES)
    root = str(zhejiang.folder.root)
    assert server.fired.keys() >= OLD or server.await_fired(*OLD)
    until_fired(
        server,
        {"CreditGatewayLogContradiction"},
        lambda: faults.contradicting_head(shanghai, zhejiang),
    )
    until_fired(
        server,
        {"CreditGatewayLogsDiffer", "CreditGatewayNotReconciled"},
        lambda: cli("audit", "reconcile", "--peer", "shanghai", "--settle", "0", "--node", root, check=None),
    )
    until_fired(
        server,
        {f"CreditGateway{k}Burn{s}" for k in ("Availability", "Latency") for s in ("Fast", "Steady", "Slow")}
        | {"CreditGatewayLogUnavailable", "CreditGatewayOverloaded"},
        lambda: overload(jiangsu, [zhejiang, shanghai]),
    )
    zhejiang.query("--peer", "anhui", check=None)
    until_fired(
        server,
        {"CreditGatewayLogHalted"},
        lambda: rolled_back(jiangsu, zhejiang, folder / "copy.db"),
        times=1,
        wait_s=90,
    )
    anhui.kill()
    cli("audit", "erase", "--learner", DEMO_LEARNER, "--yes", "--node", root)
    until_fired(server, {"CreditGatewayErasureNotTold"}, lambda: None)
    until_fired(
        server,
        {"CreditGatewayAskingFails", "CreditGatewayNotCosigned"},
        lambda: ask_in_vain(zhejiang, "anhui"),
        times=12,
    )


def rolled_back(node: ProcessNode, witness: ProcessNode, scratch: Path) -> None:
    """The witness has cosigned more than the node has; the node shows it a head again when its log grows."""
    faults.larger_head(node, witness, scratch)
    witness.send(node, faults.query_of(witness, node))


def overload(node: ProcessNode, askers: list[ProcessNode]) -> None:
    with faults.locked_database(node):
        for _ in range(3):
            faults.many_at_once(askers, node)
    faults.many_at_once(askers, node)


def ask_in_vain(node: ProcessNode, peer: str) -> None:
    """As `query` and `peers retry` do, one after the other, without a process each time."""
    request = SearchRecordsRequest(
        learner_identifier=DEMO_LEARNER, purpose=EMPLOYMENT, peers=[peer], legal_basis=STATUTE
    )
    found = find_running(node.folder)
    assert found is not None
    operator = OperatorClient(found[0].operator, found[1])
    with local_node(node.folder) as local:
        for _ in range(4):
            operator.clear_reach(peer)
            local.search(request)
    operator.close()


def test_the_list_of_what_is_seen_by_unit_tests_only_is_true() -> None:
    assert BY_UNIT_TEST.keys() <= {rule["alert"] for rule in rules() if "alert" in rule}
