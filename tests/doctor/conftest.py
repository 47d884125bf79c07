from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doctor.clinic import Clinic, clinic, three_nodes
from tests.federation.simulator import Federation


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with three_nodes(tmp_path_factory.mktemp("nodes")) as made:
        yield made


@pytest.fixture
def ward(nodes: Federation) -> Iterator[Clinic]:
    with clinic(nodes) as made:
        yield made


@pytest.fixture
def fresh_ward(tmp_path: Path) -> Iterator[Clinic]:
    """For a test that leaves a log broken."""
    with three_nodes(tmp_path) as nodes, clinic(nodes) as made:
        yield made
