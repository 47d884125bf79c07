"""``make bench``: prints a table and writes ``bench/results/latest.json``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

from bench.audit import measure_concurrency, measure_growth, measure_pymerkle, measure_verify
from bench.bulk import measure_bulk
from bench.exchange import measure_exchanges
from bench.growth import measure_import, measure_queries
from bench.reconcile import measure_reconcile
from bench.signing import measure_signing
from bench.translation import measure_translation

FEW = 1_000
RESULTS = Path(__file__).with_name("results") / "latest.json"


@dataclass
class Report:
    """What was measured: members for programs, rows for people."""

    quick: bool
    members: dict[str, Any] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def row(self, measured: str, result: str, to_reach: str = "") -> None:
        """Add a row for people."""
        self.rows.append((measured, result, to_reach))


def records(report: Report, folder: Path) -> None:
    """Importing records, and answering among few and among many."""
    many = 100_000 if report.quick else 1_000_000
    measure_import(folder, FEW)
    imported = measure_import(folder, many)
    few_us, many_us = measure_queries(folder, FEW, many)
    per_second, ratio = imported.rows / imported.seconds, many_us / few_us
    report.members["import"] = {
        "rows": imported.rows,
        "rows_per_second": round(per_second),
        "rows_per_cpu_second": round(imported.rows / imported.cpu_seconds),
        "peak_rss_mb": round(imported.peak_rss_mb, 1),
    }
    report.members["query_cpu_us"] = {"among_few": round(few_us, 1), "among_many": round(many_us, 1)}
    report.ratios["records_many_vs_few"] = round(ratio, 3)
    report.row(f"import of {many:,} records, SQLite", f"{per_second:,.0f} rows/s")
    report.row("peak memory of the import", f"{imported.peak_rss_mb:.0f} MB", "under 300 MB")
    report.row(f"query, CPU among {FEW:,} records", f"{few_us:.0f} µs")
    report.row(f"query, CPU among {many:,} records", f"{many_us:.0f} µs")
    report.row("ratio", f"{ratio:.2f}", "at most 1.2")


def translation(report: Report, _folder: Path) -> None:
    """Translating one record."""
    figures = measure_translation()
    report.members["translation_cpu_us"] = {
        "import": round(figures.import_us, 1),
        "import_varied": round(figures.varied_us, 1),
        "show": round(figures.show_us, 1),
    }
    report.row("translating a record, CPU", f"{figures.import_us:.0f} µs", "under 20 µs")
    report.row("the same, records little alike", f"{figures.varied_us:.0f} µs", "under 20 µs")
    report.row("showing it in another scheme, CPU", f"{figures.show_us:.0f} µs")


def audit_appends(report: Report, folder: Path) -> None:
    """Durable appends to the audit log, alone and in groups, and pymerkle's on the same disk."""
    appends = 2_000 if report.quick else 10_000
    members = report.members["audit_appends"] = {}
    for threads in (1, 8, 64):
        figures = measure_concurrency(folder, threads, appends)
        members[str(threads)] = {
            "per_second": round(figures.per_second),
            "cpu_us": round(figures.cpu_us, 1),
            "entries_per_commit": round(figures.group, 1),
        }
        text = f"{figures.per_second:,.0f}/s, {figures.cpu_us:.0f} µs CPU, {figures.group:.1f} a commit"
        report.row(f"durable appends, {threads} at once", text)
    theirs, ours = measure_pymerkle(folder, appends // 4)
    report.ratios["append_vs_pymerkle"] = round(ours / theirs, 2)
    report.row("one at a time: ours, pymerkle", f"{ours:,.0f}/s, {theirs:,.0f}/s = {ours / theirs:.1f} times")


def audit_growth(report: Report, folder: Path) -> None:
    """What an append and a proof cost as the log grows, and verifying a whole log."""
    sizes = [1_000, 100_000] if report.quick else [1_000, 100_000, 10_000_000]
    verified = 100_000 if report.quick else 1_000_000
    found = measure_growth(folder, sizes)
    report.members["audit_growth"] = [
        {
            "entries": figures.entries,
            "append_cpu_us": round(figures.append_cpu_us, 1),
            "append_wall_us": round(figures.append_wall_us, 1),
            "proof_cpu_us": round(figures.proof_cpu_us, 1),
            "proof_bytes": figures.proof_bytes,
        }
        for figures in found
    ]
    for figures in found:
        text = f"{figures.append_cpu_us:.0f} µs CPU; proof {figures.proof_cpu_us:.0f} µs"
        report.row(f"append to {figures.entries:,} entries", f"{text}, {figures.proof_bytes} B")
    ratio = found[-1].append_cpu_us / found[0].append_cpu_us
    report.ratios["log_1e5_vs_1e3" if report.quick else "log_1e7_vs_1e3"] = round(ratio, 3)
    report.row("ratio", f"{ratio:.2f}", "at most 1.2")
    per_cpu_second, peak_mb = measure_verify(folder, verified)
    report.members["audit_verify"] = {
        "entries": verified,
        "entries_per_cpu_second": round(per_cpu_second),
        "peak_rss_mb": round(peak_mb, 1),
    }
    report.row(f"verifying {verified:,} entries", f"{per_cpu_second:,.0f}/s a core", "at least 100,000")
    report.row("its peak memory", f"{peak_mb:.0f} MB")


def audit_reconcile(report: Report, folder: Path) -> None:
    """Comparing two logs about the same exchanges."""
    size = 20_000 if report.quick else 200_000
    per_cpu_second, peak_mb = measure_reconcile(folder, size)
    report.members["audit_reconcile"] = {
        "entries": size,
        "entries_per_cpu_second": round(per_cpu_second),
        "peak_rss_mb": round(peak_mb, 1),
    }
    report.row(f"comparing two logs of {size:,} entries", f"{per_cpu_second:,.0f}/s a core")
    report.row("its peak memory", f"{peak_mb:.0f} MB", "the same for any number")


def exchanges(report: Report, folder: Path) -> None:
    """One exchange: everything on, a bare echo, and HTTP with JSON."""
    figures = measure_exchanges(folder, 400 if report.quick else 2_000, 3 if report.quick else 7)
    report.members["exchange"] = {
        name: {
            "server_cpu_us": [round(value, 1) for value in each.cpu_us],
            "per_second": [round(value) for value in each.per_second],
            "lone_us": [round(value) for value in each.lone_us],
        }
        for name, each in figures.items()
    }
    ours, ceiling, http = figures["ours"], figures["ceiling"], figures["http"]
    for name, each in (("exchange", ours), ("bare echo", ceiling), ("HTTP and JSON", http)):
        cpu_us = statistics.median(each.cpu_us)
        spread = f"{min(each.cpu_us):.0f} to {max(each.cpu_us):.0f}"
        report.row(f"{name}: server CPU", f"{cpu_us:.0f} µs ({spread})")
    vs_ceiling = ours.per_cpu_second / ceiling.per_cpu_second
    vs_http = ours.per_cpu_second / http.per_cpu_second
    report.ratios["exchange_vs_ceiling"] = round(vs_ceiling, 3)
    report.ratios["exchange_vs_http_baseline"] = round(vs_http, 2)
    report.row("exchanges a CPU-second, of the bare echo's", f"{vs_ceiling:.2f}", "at least 0.60")
    report.row("of HTTP and JSON's", f"{vs_http:.1f} times", "at least 4")
    added_us = statistics.median(ours.lone_us) - statistics.median(ceiling.lone_us)
    report.members["added_latency_us"] = round(added_us)
    report.row("added latency, one client, with the disk's sync", f"{added_us / 1000:.2f} ms", "under 2 ms")


def bulk(report: Report, folder: Path) -> None:
    """Queries about many learners at once, against one at a time."""
    members = report.members["bulk"] = {}
    for a_learner, name in ((3, "bulk_vs_single_records"), (10, "bulk_vs_single_records_10_a_learner")):
        found = measure_bulk(folder, 100 if report.quick else 500, a_learner)
        ratio = found.bulk_records_per_cpu_s / found.single_records_per_cpu_s
        members[f"{a_learner}_records_a_learner"] = {
            "single_records_per_cpu_second": round(found.single_records_per_cpu_s),
            "bulk_records_per_cpu_second": round(found.bulk_records_per_cpu_s),
            "held_mb_100_learners": round(found.held_mb_few, 1),
            "held_mb_1000_learners": round(found.held_mb_many, 1),
        }
        report.ratios[name] = round(ratio, 1)
        text = f"{found.single_records_per_cpu_s:,.0f} and {found.bulk_records_per_cpu_s:,.0f} records/CPU-s"
        report.row(f"{a_learner} records a learner: single, bulk", text)
        report.row("ratio", f"{ratio:.1f}", "at least 15" if a_learner == 3 else "")
        text = f"{found.held_mb_few:.1f} and {found.held_mb_many:.1f} MB"
        report.row("held while 100 and 1,000 are answered", text, "about the same")


def signing(report: Report, _folder: Path) -> None:
    """Signatures of each suite."""
    measured = measure_signing(0.3 if report.quick else 2.0)
    report.members["signing"] = measured
    for suite, rates in measured.items():
        told = f"{rates['sign_per_second']:,.0f} / {rates['verify_per_second']:,.0f} a second"
        report.row(f"sign / verify, {suite}", told)


SECTIONS: tuple[Callable[[Report, Path], None], ...] = (
    records,
    translation,
    signing,
    audit_appends,
    audit_growth,
    audit_reconcile,
    exchanges,
    bulk,
)


def main() -> None:
    """Run every measurement."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth and less of each amount")
    parser.add_argument("--only", action="append", choices=[section.__name__ for section in SECTIONS])
    arguments = parser.parse_args()
    report = Report(arguments.quick)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console = Console(highlight=False)
    for section in SECTIONS:
        if arguments.only and section.__name__ not in arguments.only:
            continue
        console.print(f"measuring: {(section.__doc__ or '').rstrip('.').lower()} …")
        with tempfile.TemporaryDirectory(prefix="credit-gateway-bench-") as name:
            section(report, Path(name))
    results = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "system": platform.system(),
            "python": platform.python_version(),
        },
        **report.members,
        "ratios": report.ratios,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    table = Table("measured", "result", "to reach", title_justify="left", box=None, header_style="bold")
    for row in report.rows:
        table.add_row(*row)
    console.print(table)
    console.print(f"written to {RESULTS.relative_to(RESULTS.parents[2])}")


if __name__ == "__main__":
    main()
