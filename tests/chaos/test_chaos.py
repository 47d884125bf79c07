"""A few rounds against real nodes in the default suite; `make chaos` does many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.faults import draw_each
from tests.chaos.rounds import Arena, seed_of

SEED = 1
ROUNDS = (
    ("killed", "network loses"),
    ("disk full, torn write", "connections dropped"),
    ("database server crashes", "clock wrong by hours"),
    ("worker killed", "frozen", "fsync fails"),
)
"""One of each group; the drawing of place and time is the seed's."""


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    folder = tmp_path_factory.mktemp("chaos")
    for parent in folder.parents[:2]:
        parent.chmod(0o755)  # PostgreSQL runs as another user
    arena = Arena(folder, SEED)
    yield arena
    arena.close()


def test_nothing_acknowledged_is_lost_or_doubled_and_every_node_recovers(arena: Arena) -> None:
    assert arena.warm_up() == []
    for number, names in enumerate(ROUNDS):
        seed = seed_of(SEED, number)
        outcome = arena.run(number, seed, draw_each(seed, names))
        assert outcome.wrong == [], outcome
        assert outcome.acknowledged > 0
    assert arena.check() == []
