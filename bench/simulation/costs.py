"""What one exchange costs, taken from measured results, and how often people ask."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Costs:
    """What one exchange takes of a node, seconds."""

    answer_cpu_s: float
    """CPU of the answering node's gateway, without what it does while it holds the log."""
    ask_cpu_s: float
    """CPU of the asking node for each peer that it asks, likewise."""
    group_s: float
    """How long the log is held for a group of entries, whatever their number: statements and disk sync."""
    entry_s: float
    """How much longer for each entry of the group."""

    @property
    def exchange_cpu_s(self) -> float:
        """CPU of answering one, with its entry alone in its group."""
        return self.answer_cpu_s + self.entry_s


def costs_of(results: dict[str, Any]) -> Costs:
    """Return the costs that ``results`` (``bench/results/latest.json``) hold."""
    lone, crowd = results["audit_appends"]["1"], results["audit_appends"]["64"]
    group_size = crowd["entries_per_commit"]
    lone_s, crowd_s = 1 / lone["per_second"], group_size / crowd["per_second"]
    entry_s = max(1e-6, (crowd_s - lone_s) / (group_size - 1))
    answer_s = statistics.median(results["exchange"]["ours"]["server_cpu_us"]) / 1e6
    ask_s = results["fan_out"]["asker_cpu_us_a_peer"] / 1e6
    log_cpu_s = crowd["cpu_us"] / 1e6
    return Costs(
        answer_cpu_s=max(1e-6, answer_s - log_cpu_s),
        ask_cpu_s=max(1e-6, ask_s - log_cpu_s),
        group_s=max(0.0, lone_s - entry_s),
        entry_s=entry_s,
    )


@dataclass(frozen=True)
class Demand:
    """How often people have their records asked for: assumptions, for whoever knows better to change."""

    questions_a_person_and_year: float = 0.5
    """Applications for a job, transfers of credit, lost certificates: one person in two, each year."""
    peers_asked: int = 3
    """Provinces that one question goes to."""
    busiest_day: float = 3.0
    """The busiest day of the year over the mean day."""
    busiest_hour: float = 0.2
    """Share of a day's questions in its busiest hour."""

    def peak_per_second(self, people_m: float) -> float:
        """Return the questions a second of a province in the busiest hour of the year."""
        a_day = people_m * 1e6 * self.questions_a_person_and_year / 365
        return a_day * self.busiest_day * self.busiest_hour / 3600
