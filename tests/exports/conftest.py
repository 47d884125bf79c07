from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.exports.documents import Office, office
from tests.federation.simulator import SimulatedNode, make_federation


@pytest.fixture
def node(tmp_path: Path) -> SimulatedNode:
    return make_federation(tmp_path, "zhejiang", "shanghai")["zhejiang"]


@pytest.fixture
def desk(node: SimulatedNode) -> Office:
    return office(node)


@pytest.fixture
def desk_today(node: SimulatedNode) -> Office:
    """Its certificates are valid now: for validators that know no other time."""
    return office(node, now=datetime.now(tz=UTC).replace(microsecond=0))
