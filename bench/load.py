"""A server under load by our own driver: so many callers at once, and one alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from bench.pinned import Pinned

CLIENTS = 16
"""Callers at once; as many as a node answers at once by default (``limits.threads``)."""
CHECKED = 20
"""Answers of a round that are verified in full, after the clock has stopped."""


@dataclass
class Figures:
    """What one kind of server did, a round each."""

    cpu_us: list[float] = field(default_factory=list)
    """CPU time of the serving process an exchange, microseconds."""
    per_second: list[float] = field(default_factory=list)
    lone_us: list[float] = field(default_factory=list)
    """Time of one exchange with nothing beside it, microseconds: the round's median."""
    beside_us: list[float] = field(default_factory=list)
    """CPU time an exchange of whatever else serves it, such as PostgreSQL, microseconds."""

    @property
    def per_cpu_second(self) -> float:
        """Exchanges a CPU-second of the serving process, the median round."""
        return 1e6 / statistics.median(self.cpu_us)

    def members(self) -> dict[str, Any]:
        """Return every round, for programs."""
        found = {
            "server_cpu_us": [round(value, 1) for value in self.cpu_us],
            "per_second": [round(value) for value in self.per_second],
            "lone_us": [round(value) for value in self.lone_us],
        }
        if any(self.beside_us):
            found["database_cpu_us"] = [round(value, 1) for value in self.beside_us]
        return found


@dataclass
class Target:
    """A server under load: makes requests beforehand, sends one, checks one answer."""

    server: Pinned
    prepare: Callable[[int], Sequence[Any]]
    send: Callable[[Any], Any]
    check: Callable[[Any, Any], None]
    figures: Figures = field(default_factory=Figures)
    beside_s: Callable[[], float] = lambda: 0.0
    """CPU time that whatever else serves it has used so far, seconds."""
    clients: int = CLIENTS

    def run(self, exchanges: int) -> None:
        """Measure one round under load, and one of a lone client."""
        self.load(exchanges)
        lone = []
        for request in self.prepare(max(20, exchanges // 10)):
            started_s = time.perf_counter()
            self.send(request)
            lone.append(time.perf_counter() - started_s)
        self.figures.lone_us.append(statistics.median(lone) * 1e6)

    def load(self, exchanges: int) -> None:
        """Measure one round under load."""
        requests = self.prepare(exchanges)
        with ThreadPoolExecutor(self.clients) as pool:
            beside_s, cpu_s, started_s = self.beside_s(), self.server.cpu_s(), time.perf_counter()
            answers = list(pool.map(self.send, requests))
            wall_s, used_s = time.perf_counter() - started_s, self.server.cpu_s() - cpu_s
            beside_s = self.beside_s() - beside_s
        for request, answer in list(zip(requests, answers, strict=True))[:: max(1, exchanges // CHECKED)]:
            self.check(request, answer)
        self.figures.cpu_us.append(used_s / exchanges * 1e6)
        self.figures.per_second.append(exchanges / wall_s)
        self.figures.beside_us.append(beside_s / exchanges * 1e6)


def in_turns(targets: Mapping[str, Target], exchanges: int, rounds: int) -> dict[str, Figures]:
    """Warm each target up, then measure all of them by turns; return their figures."""
    for target in targets.values():
        target.run(exchanges // 2)
        target.figures = Figures()
    for _ in range(rounds):
        for target in targets.values():
            target.run(exchanges)
    return {name: target.figures for name, target in targets.items()}


def ratio_of(over: Sequence[float], under: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Return the median of the rounds' own ratios, and the least and most of them.

    Rounds are neighbours in time: whatever else the machine did then, it did to both.
    """
    each = sorted(a / b for a, b in zip(over, under, strict=True))
    return statistics.median(each), (each[0], each[-1])
