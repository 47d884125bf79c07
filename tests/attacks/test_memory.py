"""What whoever reads a node's memory (root, a stolen image of it) finds of the learners it dealt with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

import pytest

from creditexchange.v1 import archive_pb2
from creditexchange.v1.exchange_pb2 import LEGAL_BASIS_STATUTORY_DUTY, PURPOSE_EMPLOYMENT
from gateway.node.lock import find_announced
from gateway.rpc.local_clients import ArchiveClient
from node_config.example_numbers import resident_id
from tests.attacks.conftest import Target
from tests.attacks.memory import found_in_memory
from tests.processes.provinces import ProcessNode

LEARNERS = [resident_id(99, date(1960 + n % 40, 1 + n % 12, 1 + n % 28), 100 + n) for n in range(100)]
FIRST = LEARNERS[:10]


@pytest.fixture(scope="module")
def asker(target: Target) -> Iterator[ProcessNode]:
    """Zhejiang, after it asked Shanghai about each, one after the other, and every call has ended."""
    target.zhejiang.start(is_forked=False)  # its memory is its own
    announced = find_announced(target.zhejiang.folder)
    assert announced is not None
    client = ArchiveClient(announced[0].operator, announced[1])
    for learner in LEARNERS:
        found = client.search(
            archive_pb2.SearchRecordsRequest(
                learner_identifier=learner,
                identifier_type="resident-id",
                purpose=PURPOSE_EMPLOYMENT,
                legal_basis=LEGAL_BASIS_STATUTORY_DUTY,
                peers=["shanghai"],
            )
        )
        assert [peer.node_id for peer in found.peers] == ["shanghai"]
    client.close()
    yield target.zhejiang
    target.zhejiang.stop()


def learners_in(node: ProcessNode) -> set[str]:
    """Whom the node was asked about, as far as its memory says so."""
    assert node.process is not None
    found = found_in_memory(node.process.pid, re.compile(rb"990099\d{11}[\dX]|" + node.node_id.encode()))
    assert found.pop(node.node_id.encode()) > 10  # the search does find what is there
    return {identifier.decode() for identifier in found} & set(LEARNERS)


def test_the_memory_of_who_answers_holds_no_identifier(target: Target, asker: ProcessNode) -> None:
    assert learners_in(target.shanghai) == set()


def test_the_memory_of_who_asks_is_no_list_of_whom_it_asked_about(asker: ProcessNode) -> None:
    """Python cannot wipe, nor does gRPC: some stand in a buffer, until their place is used again."""
    remaining = learners_in(asker)
    assert len(remaining & set(FIRST)) <= len(FIRST) / 3
    assert len(remaining) <= len(LEARNERS) * 2 / 3
