"""The simulated country: the same seed says the same, and what is busy is what theory says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.simulation.costs import Costs, Demand
from bench.simulation.model import Scenario, simulate
from bench.simulation.provinces import PROVINCES, one_way_ms

COSTS = Costs(answer_cpu_s=0.001, ask_cpu_s=0.001, group_s=0.002, entry_s=0.0001)
SCENARIO = Scenario(COSTS, seconds=1)


def test_the_same_seed_has_the_same_outcome_and_another_one_does_not() -> None:
    assert simulate(SCENARIO) == simulate(SCENARIO)
    assert simulate(SCENARIO) != simulate(replace(SCENARIO, seed=8))


def test_every_question_is_answered_and_none_faster_than_light() -> None:
    outcome = simulate(SCENARIO)
    assert outcome.asked == outcome.answered > 200
    nearest = min(one_way_ms(a, b) for a in PROVINCES for b in PROVINCES if a is not b)
    assert outcome.median_ms > 2 * nearest


def test_workers_are_busy_for_the_work_that_was_done() -> None:
    outcome = simulate(SCENARIO)
    exchanges = outcome.asked * SCENARIO.demand.peers_asked
    used_s = sum(load.cpu for load in outcome.loads) * SCENARIO.seconds
    assert used_s == pytest.approx(exchanges * (COSTS.answer_cpu_s + COSTS.ask_cpu_s), rel=0.001)


def test_groups_grow_with_demand() -> None:
    calm, busy = (simulate(replace(SCENARIO, times=times, seconds=0.5, workers=8)) for times in (1, 6))
    assert busy.loads[0].entries_a_group > 1.3 * calm.loads[0].entries_a_group


def test_one_worker_is_short_of_cpu_and_many_are_held_up_by_the_log() -> None:
    slow = replace(COSTS, entry_s=0.0008)
    one, many = (simulate(Scenario(slow, times=6, seconds=0.3, workers=workers)) for workers in (1, 16))
    assert (one.bottleneck[1], many.bottleneck[1]) == ("cpu", "log")
    assert many.p99_ms < one.p99_ms


def test_the_busiest_hour_of_a_province_of_65_million() -> None:
    assert Demand().peak_per_second(65) == pytest.approx(14.8, rel=0.01)
