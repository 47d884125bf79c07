"""The simulation: questions come, peers are asked, workers work, logs commit in groups.

Every node has a number of workers, each a core, and one log. The log is a lock: whoever holds it
commits for everybody who waits (``gateway/combining.py``), however many workers share it.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import simpy

from bench.simulation.costs import Costs, Demand
from bench.simulation.provinces import PROVINCES, Province, one_way_ms

CALLS_A_WORKER = 16
"""Calls that a worker answers at once (``limits.threads``): a group of entries is never larger."""

Process = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Scenario:
    """One country at one time."""

    costs: Costs
    demand: Demand = field(default_factory=Demand)
    times: float = 1.0
    """How many times the demand."""
    workers: int = 1
    """Cores of each node that serve."""
    seconds: float = 10.0
    """How long questions come."""
    seed: int = 7


@dataclass
class Node:
    """A province's node while the simulation runs."""

    province: Province
    workers: simpy.Resource
    busy_s: float = 0.0
    waiting: list[simpy.Event] = field(default_factory=list)
    is_committing: bool = False
    entries: int = 0
    groups: int = 0


@dataclass(frozen=True)
class Load:
    """How busy one node was."""

    node: str
    cpu: float
    """Share of its workers' time that the questions need; above 1 they come faster than they are answered."""
    log: float
    """The same of its log, whose groups are as large as they can be then."""
    entries_a_group: float


@dataclass(frozen=True)
class Outcome:
    """What became of the questions of one scenario."""

    asked: int
    answered: int
    median_ms: float
    p99_ms: float
    loads: tuple[Load, ...]
    """The busiest node first."""

    @property
    def bottleneck(self) -> tuple[str, str, float]:
        """Return node, resource and share of what is busiest."""
        cpu = max(self.loads, key=lambda load: load.cpu)
        log = max(self.loads, key=lambda load: load.log)
        return (cpu.node, "cpu", cpu.cpu) if cpu.cpu >= log.log else (log.node, "log", log.log)


class Country:
    """All nodes, and the questions between them."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._random = random.Random(scenario.seed)
        self._now = simpy.Environment()
        self._nodes = [Node(p, simpy.Resource(self._now, scenario.workers)) for p in PROVINCES]
        self._distances = [[one_way_ms(a, b) / 1000 for b in PROVINCES] for a in PROVINCES]
        self._choices = [self._attraction(place) for place in range(len(PROVINCES))]
        self._times_s: list[float] = []
        self._asked = 0
        self._group_max = CALLS_A_WORKER * scenario.workers

    def run(self) -> Outcome:
        """Let questions come for the scenario's time, and wait until all are answered."""
        for place in range(len(self._nodes)):
            self._now.process(self._questions(place))
        self._now.run()
        loads = sorted((self._load_of(node) for node in self._nodes), key=_busiest, reverse=True)
        times_ms = [each * 1000 for each in self._times_s]
        p99 = statistics.quantiles(times_ms, n=100)[98] if len(times_ms) > 1 else 0.0
        return Outcome(self._asked, len(times_ms), statistics.median(times_ms or [0.0]), p99, tuple(loads))

    def _attraction(self, place: int) -> Sequence[float]:
        """Cumulative weights of the provinces that people of ``place`` have records in: large, and near."""
        weights = [
            0.0 if other == place else PROVINCES[other].people_m / (0.002 + self._distances[place][other])
            for other in range(len(PROVINCES))
        ]
        return list(accumulate(weights))

    def _questions(self, place: int) -> Process:
        scenario = self._scenario
        rate = scenario.demand.peak_per_second(PROVINCES[place].people_m) * scenario.times
        while True:
            yield self._now.timeout(self._random.expovariate(rate))
            if self._now.now >= scenario.seconds:
                return
            self._asked += 1
            self._now.process(self._question(place))

    def _question(self, place: int) -> Process:
        started_s = self._now.now
        peers: set[int] = set()
        while len(peers) < self._scenario.demand.peers_asked:
            peers |= set(self._random.choices(range(len(PROVINCES)), cum_weights=self._choices[place], k=1))
        yield simpy.AllOf(
            self._now, [self._now.process(self._exchange(place, peer)) for peer in sorted(peers)]
        )
        self._times_s.append(self._now.now - started_s)

    def _exchange(self, place: int, peer: int) -> Process:
        costs, asker, answerer = self._scenario.costs, self._nodes[place], self._nodes[peer]
        way_s = self._distances[place][peer]
        yield from self._work(asker, costs.ask_cpu_s / 2)
        yield self._now.timeout(way_s)
        yield from self._work(answerer, costs.answer_cpu_s)
        yield from self._log(answerer)
        yield self._now.timeout(way_s)
        yield from self._work(asker, costs.ask_cpu_s / 2)
        yield from self._log(asker)

    def _work(self, node: Node, seconds: float) -> Process:
        with node.workers.request() as turn:
            yield turn
            yield self._now.timeout(seconds)
            node.busy_s += seconds

    def _log(self, node: Node) -> Process:
        done = self._now.event()
        node.waiting.append(done)
        if not node.is_committing:
            node.is_committing = True
            self._now.process(self._commit(node))
        yield done

    def _commit(self, node: Node) -> Process:
        costs = self._scenario.costs
        while node.waiting:
            group, node.waiting = node.waiting[: self._group_max], node.waiting[self._group_max :]
            yield self._now.timeout(costs.group_s + costs.entry_s * len(group))
            node.entries += len(group)
            node.groups += 1
            for done in group:
                done.succeed()
        node.is_committing = False

    def _load_of(self, node: Node) -> Load:
        costs, seconds = self._scenario.costs, self._scenario.seconds
        held_s = node.entries * (costs.entry_s + costs.group_s / self._group_max)
        return Load(
            node.province.name,
            node.busy_s / seconds / self._scenario.workers,
            held_s / seconds,
            node.entries / node.groups if node.groups else 0.0,
        )


def _busiest(load: Load) -> float:
    return max(load.cpu, load.log)


def simulate(scenario: Scenario) -> Outcome:
    """Run one scenario; the same scenario always has the same outcome."""
    return Country(scenario).run()
