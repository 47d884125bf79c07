"""``make bench``: prints a table, writes ``bench/results/latest.json`` and draws plots beside it."""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from rich.console import Console

from bench.many import imports, learners, peers
from bench.pages import put, table, told
from bench.parts import audit_appends, audit_growth, audit_reconcile, bulk, signing, translation
from bench.plots import draw
from bench.report import LATEST, RATIOS, Report
from bench.whole import engines, exchanges, fan_out, load_by_k6, memory, workers

HEAD = ("measured", "result", "to reach")
SECTIONS: tuple[Callable[[Report, Path], None], ...] = (
    exchanges,
    bulk,
    fan_out,
    engines,
    workers,
    learners,
    audit_growth,
    load_by_k6,
    peers,
    memory,
    imports,
    translation,
    signing,
    audit_appends,
    audit_reconcile,
)


LEFT_OUT_WHEN_QUICK = (translation, audit_reconcile)


def main() -> None:
    """Run every measurement."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth and less of each amount")
    parser.add_argument(
        "--only",
        action="append",
        choices=[section.__name__ for section in SECTIONS],
        help="measure this only, and keep what else the last results say",
    )
    arguments = parser.parse_args()
    report = Report(arguments.quick)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console = Console(highlight=False)
    for section in SECTIONS:
        if arguments.only and section.__name__ not in arguments.only:
            continue
        if arguments.quick and not arguments.only and section in LEFT_OUT_WHEN_QUICK:
            continue
        console.print(f"measuring: {(section.__doc__ or '').rstrip('.').lower()} …")
        started_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="credit-gateway-bench-") as name:
            section(report, Path(name))
        report.seconds[section.__name__] = time.monotonic() - started_s
    report.show(console)
    results = report.write(over=bool(arguments.only))
    missing = [name for name in RATIOS if name not in results["ratios"]]
    draw(results)
    if not arguments.quick and not arguments.only:
        put("performance.md", "figures", f"{told(results)}\n\n{table(HEAD, report.rows)}")
    console.print(f"written to {LATEST.relative_to(LATEST.parents[2])}; plots beside it")
    if missing and not arguments.only:
        raise SystemExit(f"not measured: {', '.join(missing)}")


if __name__ == "__main__":
    main()
