"""``make bench``: prints a table and writes ``bench/results/latest.json``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from bench.growth import measure_import, measure_queries
from bench.translation import measure_translation

FEW = 1_000
RESULTS = Path(__file__).with_name("results") / "latest.json"


def main() -> None:
    """Run every measurement."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 records instead of 1,000,000")
    many = 100_000 if parser.parse_args().quick else 1_000_000
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="credit-gateway-bench-") as name:
        folder = Path(name)
        console.print(f"importing {FEW:,} and {many:,} records …")
        measure_import(folder, FEW)
        imported = measure_import(folder, many)
        console.print("answering queries …")
        few_us, many_us = measure_queries(folder, FEW, many)
    console.print("translating …")
    translated = measure_translation()
    results = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "system": platform.system(),
            "python": platform.python_version(),
        },
        "import": {
            "rows": imported.rows,
            "rows_per_second": round(imported.rows / imported.seconds),
            "rows_per_cpu_second": round(imported.rows / imported.cpu_seconds),
            "peak_rss_mb": round(imported.peak_rss_mb, 1),
        },
        "query_cpu_us": {"among_few": round(few_us, 1), "among_many": round(many_us, 1)},
        "translation_cpu_us": {
            "import": round(translated.import_us, 1),
            "import_varied": round(translated.varied_us, 1),
            "show": round(translated.show_us, 1),
        },
        "ratios": {"records_many_vs_few": round(many_us / few_us, 3)},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    table = Table("measured", "result", "to reach", title_justify="left", box=None, header_style="bold")
    table.add_row(
        f"import of {many:,} records, SQLite", f"{results['import']['rows_per_second']:,} rows/s", ""
    )
    table.add_row("peak memory of the import", f"{imported.peak_rss_mb:.0f} MB", "under 300 MB")
    table.add_row(f"query, CPU among {FEW:,} records", f"{few_us:.0f} µs", "")
    table.add_row(f"query, CPU among {many:,} records", f"{many_us:.0f} µs", "")
    table.add_row("ratio", f"{many_us / few_us:.2f}", "at most 1.2")
    table.add_row("translating a record, CPU", f"{translated.import_us:.0f} µs", "under 20 µs")
    table.add_row("the same, records little alike", f"{translated.varied_us:.0f} µs", "under 20 µs")
    table.add_row("showing it in another scheme, CPU", f"{translated.show_us:.0f} µs", "")
    console.print(table)
    console.print(f"written to {RESULTS.relative_to(RESULTS.parents[2])}")


if __name__ == "__main__":
    main()
