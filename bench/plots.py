"""Plots of results, as SVG beside them: throughput, latency, growth, memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench.report import RESULTS

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "credit-gateway"  # the same figures give the same file

KINDS = {"ours": "exchange", "no_disk": "exchange, no disk", "ceiling": "bare echo", "http": "HTTP and JSON"}


def draw(results: dict[str, Any]) -> list[Path]:
    """Draw what ``results`` has; return the files."""
    drawn = []
    if "exchange" in results:
        drawn += [
            _bars(results["exchange"], "per_second", "exchanges a second, 16 callers", "throughput"),
            _bars(results["exchange"], "server_cpu_us", "server CPU an exchange, µs", "cpu"),
            _bars(results["exchange"], "lone_us", "one caller: time of an exchange, µs", "latency"),
        ]
    if "audit_growth" in results and "learners_cpu_us" in results:
        drawn.append(_growth(results))
    if "memory" in results:
        drawn.append(draw_memory(results["memory"]["samples"], "memory"))
    return drawn


def draw_memory(samples: Sequence[Sequence[float]], name: str) -> Path:
    """Draw (exchanges so far, MiB)."""
    figure, axes = plt.subplots(figsize=(7, 3.2))
    axes.plot([each[0] for each in samples], [each[1] for each in samples], marker=".")
    axes.set_ylim(bottom=0)
    axes.axhline(250, linestyle=":", color="grey")
    axes.set_xlabel("exchanges")
    axes.set_ylabel("memory of the worker, MiB")
    return save(figure, name)


def _bars(figures: dict[str, Any], key: str, label: str, name: str) -> Path:
    kinds = [kind for kind in KINDS if kind in figures]
    figure, axes = plt.subplots(figsize=(7, 3.2))
    axes.boxplot([figures[kind][key] for kind in kinds], orientation="horizontal")
    axes.set_yticks(range(1, len(kinds) + 1), [KINDS[kind] for kind in kinds])
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{label} (median, quartiles and all rounds)")
    return save(figure, name)


def _growth(results: dict[str, Any]) -> Path:
    figure, axes = plt.subplots(figsize=(7, 3.2))
    entries = results["audit_growth"]
    _line(
        axes,
        [each["entries"] for each in entries],
        [each["append_cpu_us"] for each in entries],
        "log entries",
    )
    for member, label in (("learners_cpu_us", "learners"), ("peers_cpu_us", "peers")):
        if member in results:
            sizes = results[member]
            _line(axes, [int(size) for size in sizes], list(sizes.values()), label)
    axes.set_xscale("log")
    axes.axhspan(0.8, 1.2, alpha=0.1, color="grey")
    axes.set_ylim(0, 2)
    axes.set_xlabel("how many there are")
    axes.set_ylabel("CPU, of the least")
    axes.legend()
    return save(figure, "growth")


def _line(axes: Axes, sizes: Sequence[int], costs: Sequence[float], label: str) -> None:
    axes.plot(sizes, [cost / costs[0] for cost in costs], marker="o", label=label)


def save(figure: Any, name: str) -> Path:
    """Write a figure as ``bench/results/NAME.svg``, the same bytes for the same figures."""
    path = RESULTS / f"{name}.svg"
    RESULTS.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    # matplotlib ends lines with blanks, which a repository does not like.
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")
    return path
