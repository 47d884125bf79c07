"""A few rounds against real nodes in the default suite; `make chaos` does many."""

from __future__ import annotations

from tests.chaos.faults import draw_each
from tests.chaos.rounds import arena, seed_of

SEED = 30
ROUNDS = (
    ("killed", "network loses"),
    ("database server crashes", "disk full, torn write", "clock wrong by hours"),
    ("worker killed", "frozen", "connections dropped"),
)
"""One of each group; the drawing of place and time is the seed's."""


def test_nothing_acknowledged_is_lost_or_doubled_and_every_node_recovers() -> None:
    with arena(SEED) as made:
        for number, names in enumerate(ROUNDS):
            seed = seed_of(SEED, number)
            outcome = made.run(number, seed, draw_each(seed, names))
            assert outcome.wrong == [], outcome
            assert outcome.acknowledged > 0
        assert made.check() == []
