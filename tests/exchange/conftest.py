from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.federation.simulator import LEARNER, Federation, make_federation


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    """Zhejiang, Shanghai and Anhui; the learner has two courses in Shanghai and one in Anhui."""
    made = make_federation(tmp_path, "zhejiang", "shanghai", "anhui")
    made["shanghai"].put(LEARNER, "calculus", "welding")
    made["anhui"].put(LEARNER, "history")
    yield made
    for node in made.nodes.values():
        node.log.close()
        node.log._database.dispose()
