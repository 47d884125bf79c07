"""``make simulate``: the country at growing demand, with the costs of the last measurement."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import matplotlib.pyplot as plt
from rich.console import Console
from rich.table import Table

from bench.pages import put
from bench.pages import table as markdown
from bench.plots import save
from bench.report import LATEST, RESULTS
from bench.simulation.costs import costs_of
from bench.simulation.model import Outcome, Scenario, simulate
from bench.simulation.needs import measured_costs

TIMES = (1, 2, 4, 8, 16, 32, 64, 128)
WORKERS = (1, 4)
FULL = 0.9
"""Busier than that, a node has no room for a bad minute."""
EXCHANGES_MAX = 60_000
"""About as many exchanges a scenario: at high demand a shorter time is looked at."""


def main() -> None:
    """Find what gets tight first, and draw it."""
    results = json.loads(LATEST.read_text(encoding="utf-8"))
    base = Scenario(costs_of(results))
    console, found = Console(highlight=False), []
    table = Table("workers", "demand", "questions/s", "median", "p99", "busiest", "share", box=None)
    for workers in WORKERS:
        for times in TIMES:
            scenario = replace(base, workers=workers, times=times, seconds=_seconds(base, times))
            outcome = simulate(scenario)
            found.append(_members(scenario, outcome))
            node, resource, share = outcome.bottleneck
            times_ms = f"{outcome.median_ms:.0f} ms", f"{outcome.p99_ms:.0f} ms"
            rate = f"{outcome.asked / scenario.seconds:,.0f}"
            table.add_row(str(workers), f"x {times}", rate, *times_ms, f"{node}: {resource}", f"{share:.0%}")
            if share > FULL:
                break
    written = {"measured_at": results["at"], "costs_us": _costs(base), "scenarios": found}
    path = RESULTS / "simulation.json"
    path.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    _draw(found)
    shown = [[str(cell) for cell in column.cells] for column in table.columns]
    rows = list(zip(*shown, strict=True))
    put("capacity.md", "simulation", markdown([str(column.header) for column in table.columns], rows))
    put("capacity.md", "costs", measured_costs(results, base.costs))
    console.print(table)
    console.print(f"written to {path.relative_to(RESULTS.parents[1])}; plot beside it")


def _seconds(base: Scenario, times: float) -> float:
    people_m = 1_409.0
    a_second = base.demand.peak_per_second(people_m) * base.demand.peers_asked * times
    return min(30.0, EXCHANGES_MAX / a_second)


def _costs(base: Scenario) -> dict[str, float]:
    return {name.removesuffix("_s"): round(value * 1e6, 1) for name, value in asdict(base.costs).items()}


def _members(scenario: Scenario, outcome: Outcome) -> dict[str, Any]:
    node, resource, share = outcome.bottleneck
    return {
        "workers": scenario.workers,
        "times": scenario.times,
        "questions_per_second": round(outcome.asked / scenario.seconds),
        "median_ms": round(outcome.median_ms, 1),
        "p99_ms": round(outcome.p99_ms, 1),
        "busiest": {"node": node, "resource": resource, "share": round(share, 3)},
        "cpu_of_busiest": round(max(load.cpu for load in outcome.loads), 3),
        "log_of_busiest": round(max(load.log for load in outcome.loads), 3),
    }


def _draw(found: list[dict[str, Any]]) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    for workers in WORKERS:
        rows = [row for row in found if row["workers"] == workers]
        times = [row["times"] for row in rows]
        left.plot(times, [row["cpu_of_busiest"] for row in rows], marker="o", label=f"CPU, {workers} workers")
        left.plot(times, [row["log_of_busiest"] for row in rows], marker="x", label=f"log, {workers} workers")
        right.plot(times, [row["p99_ms"] for row in rows], marker="o", label=f"p99, {workers} workers")
        right.plot(times, [row["median_ms"] for row in rows], marker="x", label=f"median, {workers} workers")
    for axes, label in ((left, "share of the busiest node"), (right, "time of a question, ms")):
        axes.set_xscale("log", base=2)
        axes.set_xlabel("times the demand of the busiest hour")
        axes.set_ylabel(label)
        axes.legend(fontsize="small")
    right.set_yscale("log")
    left.axhline(FULL, linestyle=":", color="grey")
    save(figure, "simulation")


if __name__ == "__main__":
    main()
