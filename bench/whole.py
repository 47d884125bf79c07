"""Whole exchanges between real nodes: beside baselines, under k6, on both engines, by workers, fanned out."""

from __future__ import annotations

import statistics
from pathlib import Path

from bench.engines import measure_engines, measure_workers
from bench.exchange import bytes_an_entry, measure_exchanges
from bench.fan_out import ONE_WAY_MS, measure_fan_out
from bench.k6 import measure_k6
from bench.load import Figures, ratio_of
from bench.memory import measure_memory
from bench.report import Report


def exchanges(report: Report, folder: Path) -> None:
    """One exchange: everything on, without a disk, a bare echo, and HTTP with JSON."""
    figures = measure_exchanges(folder, 300 if report.quick else 800, 3 if report.quick else 6)
    report.members["exchange"] = {name: each.members() for name, each in figures.items()}
    report.members["exchange_bytes"] = bytes_an_entry(folder / "shanghai" / "data" / "node.db")
    ours, ceiling, http = figures["ours"], figures["ceiling"], figures["http"]
    for name, each in (("exchange", ours), ("bare echo", ceiling), ("HTTP and JSON", http)):
        report.row(f"{name}: server CPU", _cpu(each))
        report.row(f"{name}: a second, 16 callers", f"{statistics.median(each.per_second):,.0f}")
    vs_ceiling, spread = ratio_of(ceiling.cpu_us, ours.cpu_us)
    how = "exchanges a CPU-second of the serving process, one node on SQLite over a bare gRPC echo"
    report.ratio("exchange_vs_ceiling", vs_ceiling, how, spread)
    report.row("exchanges a CPU-second, of the bare echo's", f"{vs_ceiling:.2f}", "at least 0.60")
    vs_http, spread = ratio_of(http.cpu_us, ours.cpu_us)
    how = "exchanges a CPU-second of the serving process, one node on SQLite over HTTP, JSON and an ORM"
    report.ratio("exchange_vs_http_baseline", vs_http, how, spread)
    report.row("of HTTP and JSON's", f"{vs_http:.1f} times", "at least 4")
    _added_latency(report, figures)


def _added_latency(report: Report, figures: dict[str, Figures]) -> None:
    echo = figures["ceiling"].lone_us
    members = report.members["added_latency_us"] = {}
    for name, label, to_reach in (
        ("no_disk", "without the disk's sync", "under 2 ms"),
        ("ours", "with the disk's sync", ""),
    ):
        if name not in figures:
            continue
        added = [ours - bare for ours, bare in zip(figures[name].lone_us, echo, strict=True)]
        median = statistics.median(added)
        members[name] = {"median": round(median), "rounds": [round(each) for each in added]}
        text = f"{median / 1000:.2f} ms ({min(added) / 1000:.2f} to {max(added) / 1000:.2f})"
        report.row(f"added latency, one caller, {label}", text, to_reach)


def load_by_k6(report: Report, folder: Path) -> None:
    """The same node under load by k6 and by our own driver."""
    found = measure_k6(folder, 300 if report.quick else 1_000, 1 if report.quick else 3)
    report.members["k6"] = {name: round(value, 2) for name, value in vars(found).items()}
    text = f"{found.per_second:,.0f}/s, {found.median_ms:.1f} ms median, {found.p99_ms:.1f} ms p99"
    report.row("k6, 16 callers", text)
    text = f"{found.server_cpu_us:.0f} µs; by our driver {found.own_server_cpu_us:.0f} µs"
    report.row("server CPU an exchange under k6", text)


def fan_out(report: Report, folder: Path) -> None:
    """Asking three peers at once."""
    found = measure_fan_out(folder, 3 if report.quick else 7, near_too=not report.quick)
    report.members["fan_out"] = {
        "one_way_ms": ONE_WAY_MS,
        "alone_ms": {peer: round(value, 2) for peer, value in found.alone_ms.items()},
        "together_ms": round(found.together_ms, 2),
        "asker_cpu_us_a_peer": round(found.asker_cpu_us_a_peer, 1),
        "ratio_without_distance": found.ratio_without_distance and round(found.ratio_without_distance, 2),
    }
    how = "time of a whole question to three real nodes 8, 12 and 16 ms away, over one to the slowest alone"
    report.ratio("fan_out_vs_slowest_peer", found.ratio, how, found.spread)
    alone = ", ".join(f"{value:.0f}" for value in found.alone_ms.values())
    report.row("asking three peers, each alone", f"{found.together_ms:.0f} ms; {alone} ms")
    report.row("over the slowest alone", f"{found.ratio:.2f}", "at most 1.15")
    if found.ratio_without_distance is not None:
        report.row("the same without any distance", f"{found.ratio_without_distance:.2f}")


def engines(report: Report, folder: Path) -> None:
    """The same exchanges on SQLite and PostgreSQL."""
    found = measure_engines(folder, 300 if report.quick else 800, 3 if report.quick else 6)
    sqlite, postgresql = found.sqlite, found.postgresql
    with_database = statistics.median(
        one / (two + beside)
        for one, two, beside in zip(sqlite.cpu_us, postgresql.cpu_us, postgresql.beside_us, strict=True)
    )
    report.members["engines"] = {
        "sqlite": sqlite.members(),
        "postgresql": postgresql.members(),
        "ratio_with_the_database_servers_cpu": round(with_database, 3),
    }
    how = "exchanges a CPU-second of the serving process; PostgreSQL's own processes are not counted"
    report.ratio("postgresql_vs_sqlite", found.ratio, how, found.spread)
    report.row("server CPU on PostgreSQL", _cpu(postgresql))
    report.row("exchanges a CPU-second, of SQLite's", f"{found.ratio:.2f}", "at least 0.7")
    report.row("the same with PostgreSQL's own CPU", f"{with_database:.2f}")


def workers(report: Report, folder: Path) -> None:
    """One worker and two, on PostgreSQL."""
    found = measure_workers(folder, 200 if report.quick else 800, 3 if report.quick else 5)
    report.members["workers"] = {
        "one": found.one.members(),
        "two": found.two.members(),
        "shares_of_two": [round(share, 2) for share in found.shares],
        "wall_ratio_here": round(found.wall_ratio, 2),
    }
    how = (
        "exchanges that the CPU time of two workers is enough for, over one: twice the CPU of an "
        "exchange by one, over that by two"
    )
    report.ratio("two_workers_vs_one", found.ratio, how, found.spread)
    report.row("two workers over one, by CPU", f"{found.ratio:.2f}", "at least 1.8")
    report.row("by the clock, load and database on the same cores", f"{found.wall_ratio:.2f}")


def memory(report: Report, folder: Path) -> None:
    """What a worker holds in memory, idle and under full load."""
    found = measure_memory(folder, 1_000 if report.quick else 10_000)
    report.members["memory"] = {
        "idle_mib": round(found.idle_mib, 1),
        "samples": [(count, round(mib, 1)) for count, mib in found.samples],
    }
    report.row("memory of a worker, idle", f"{found.idle_mib:.0f} MiB", "under 150")
    report.row(f"most in {found.samples[-1][0]:,} exchanges", f"{found.peak_mib:.0f} MiB", "under 250")


def _cpu(figures: Figures) -> str:
    each = figures.cpu_us
    return f"{statistics.median(each):.0f} µs ({min(each):.0f} to {max(each):.0f})"
