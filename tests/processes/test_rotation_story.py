"""Three provinces replace every key that they have while they ask one another without a pause."""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from creditexchange.v1.archive_pb2 import SearchRecordsRequest
from gateway.clock import monotonic_s, system_clock
from gateway.node.key_list import list_keys
from gateway.node.lock import find_running
from gateway.node.rotating import begin, begin_epoch, renew_leaf_soon
from gateway.node.rotation import begin_evidence
from gateway.node.state import load_secrets, next_secret
from gateway.node.stores import registry_of
from gateway.policy.purposes import LEGAL_BASES, PURPOSES
from gateway.records import import_file
from gateway.rpc.local_clients import ArchiveClient
from gateway.schemes import load_scheme
from gateway.signing.key_files import write_secret
from tests.processes.provinces import DEMO_LEARNER, EXAMPLES, ProcessNode, cli, introduce, make_node

IDS = ("shanghai", "jiangsu", "zhejiang")
PLANNED = ("signing", "log", "witness", "tls-ca")
SHORT = """
[rotation]
announce_s = 1
overlap_s = 6
settle_s = 6
poll_s = 0.5
"""


@pytest.fixture(scope="module")
def provinces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProcessNode]]:
    parent = tmp_path_factory.mktemp("rotation")
    nodes: dict[str, ProcessNode] = {}
    for node_id in IDS:
        nodes[node_id] = make_node(parent, node_id, secret_from=next(iter(nodes.values()), None))
        with nodes[node_id].folder.config.open("a", encoding="utf-8") as file:
            file.write(SHORT)
    introduce(*nodes.values())
    try:
        for node in nodes.values():
            node.start()
        yield nodes
    finally:
        for node in nodes.values():
            node.close()


class Load:
    """Asks all the time, from every node, and counts every answer of every peer."""

    def __init__(self, nodes: dict[str, ProcessNode]) -> None:
        self.outcomes: Counter[str] = Counter()
        self.told: list[str] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(node,)) for node in nodes.values()]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, node: ProcessNode) -> None:
        found = find_running(node.folder)
        assert found is not None
        client = ArchiveClient(found[0].operator, found[1])
        request = SearchRecordsRequest(
            learner_identifier=DEMO_LEARNER,
            purpose=PURPOSES["employment"],
            legal_basis=LEGAL_BASES["statutory-duty"],
            deadline_ms=20_000,
        )
        while not self._ended.wait(0.05):
            for peer in client.search(request).peers:
                self.outcomes[peer.outcome] += 1
                if peer.outcome != "OK":
                    self.told.append(f"{node.node_id} -> {peer.node_id}: {peer.outcome} {peer.explanation}")
        client.close()


def key_ids(node: ProcessNode) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in list_keys(node.folder, system_clock).keys:
        found.setdefault(line.role, set()).add(line.key_id or line.place)
    return found


def wait_until(what, seconds: float = 240) -> None:
    end_s = monotonic_s() + seconds
    while not what():
        assert monotonic_s() < end_s, "it did not come to that"
        threading.Event().wait(0.5)


def parent_of(nodes: dict[str, ProcessNode]) -> Path:
    return next(iter(nodes.values())).folder.root.parent


def records_under_the_next_epoch(node: ProcessNode) -> None:
    """As an operator does who imports the files of records again."""
    scheme, newest = load_scheme(node.folder.scheme), next_secret(node.folder)
    with registry_of(node.folder, node.config) as registry:
        for file in sorted((EXAMPLES / node.node_id / "records").iterdir()):
            report = import_file(
                file, registry, scheme, newest, node.node_id, clock=system_clock, older_secrets=[node.secret]
            )
            assert not report.refused
            assert report.unchanged == report.rows
        assert registry.count_under_other_epochs("2027") == (0, 0)


def plan_text(node: ProcessNode) -> str:
    path = node.folder.key("rotation.toml")
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_every_key_of_every_node_is_replaced_and_no_exchange_is_lost(
    provinces: dict[str, ProcessNode],
) -> None:
    before = {node_id: key_ids(node) for node_id, node in provinces.items()}
    evidence = {
        node_id: node.folder.key("evidence.secret").read_bytes() for node_id, node in provinces.items()
    }
    secret = parent_of(provinces) / "federation-2027.secret"
    write_secret(secret, os.urandom(32))
    with Load(provinces) as load:
        for node in provinces.values():
            for role in PLANNED:
                begin(node.folder, role, system_clock())
            renew_leaf_soon(node.folder, system_clock())
            begin_evidence(node.folder)
            begin_epoch(node.folder, "2027", secret, system_clock(), forced=False)
        for node in provinces.values():
            records_under_the_next_epoch(node)
        wait_until(lambda: all("[[step]]" not in plan_text(node) for node in provinces.values()))
        wait_until(
            lambda: all(not n.folder.key("evidence-previous.secret").exists() for n in provinces.values())
        )
        asked = load.outcomes.total()
        wait_until(lambda: load.outcomes.total() > asked + 12)
    assert load.outcomes == {"OK": load.outcomes.total()}, load.told[:10]
    assert load.outcomes["OK"] > 60
    for node_id, node in provinces.items():
        after = key_ids(node)
        for role in (*PLANNED, "tls-leaf"):
            assert len(after[role]) == 1
            assert not after[role] & before[node_id][role], (node_id, role)
        assert list(load_secrets(node.folder, node.config)) == ["2027"]
        assert node.folder.key("evidence.secret").read_bytes() != evidence[node_id]
    shanghai = str(provinces["shanghai"].folder.root)
    cli("audit", "verify", "--every-signature", "--node", shanghai)
    cli("audit", "verify", "--ask-peers", "--node", shanghai)
