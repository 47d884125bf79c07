"""The same work among few and among many: records, learners, peers."""

from __future__ import annotations

from pathlib import Path

from bench.growth import measure_import, measure_learners, measure_peers
from bench.report import Report


def imports(report: Report, folder: Path) -> None:
    """Importing records."""
    rows = 20_000 if report.quick else 200_000
    imported = measure_import(folder, rows)
    per_second = imported.rows / imported.seconds
    report.members["import"] = {
        "rows": imported.rows,
        "rows_per_second": round(per_second),
        "rows_per_cpu_second": round(imported.rows / imported.cpu_seconds),
        "peak_rss_mb": round(imported.peak_rss_mb, 1),
        "bytes_a_record": round((folder / f"records-{rows}.db").stat().st_size / rows),
    }
    report.row(f"import of {rows:,} records, SQLite", f"{per_second:,.0f} rows/s", "at least 20,000")
    report.row("peak memory of the import", f"{imported.peak_rss_mb:.0f} MB", "under 300 MB")


def learners(report: Report, folder: Path) -> None:
    """Answering among few and among many learners."""
    sizes = (1_000, 100_000) if report.quick else (1_000, 100_000, 1_000_000)
    found = measure_learners(folder, sizes, 5 if report.quick else 11)
    report.members["learners_cpu_us"] = {str(size): round(us, 1) for size, us in found.cpu_us.items()}
    how = "CPU of one answered query, SQLite, by turns; other learners have one made-up record each"
    if report.quick:
        report.ratio("learners_1e5_vs_1e3", found.ratio, how, found.spread)
        report.take_earlier("learners_1e6_vs_1e3")
    else:
        report.ratio("learners_1e6_vs_1e3", found.ratio, how, found.spread)
    for size, us in found.cpu_us.items():
        report.row(f"query, CPU among {size:,} learners", f"{us:.0f} µs")
    report.row("ratio, most learners over least", f"{found.ratio:.2f}", "at most 1.2")


def peers(report: Report, folder: Path) -> None:
    """Answering while few and many peers are known."""
    found = measure_peers(folder, (4, 32) if report.quick else (4, 32, 300), 3 if report.quick else 11)
    report.members["peers_cpu_us"] = {str(size): round(us, 1) for size, us in found.cpu_us.items()}
    how = f"CPU of one answered query with {max(found.cpu_us)} peers known over one with 4, by turns"
    report.members["peers_most_vs_least"] = {"ratio": round(found.ratio, 3), "how": how}
    for size, us in found.cpu_us.items():
        report.row(f"query, CPU with {size} peers", f"{us:.0f} µs")
    report.row("ratio, most peers over least", f"{found.ratio:.2f}", "at most 1.2")
