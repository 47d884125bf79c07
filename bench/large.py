"""``make bench-large``: what takes hours or much disk. Writes ``bench/results/large.json`` and a plot.

Ten million records are imported into PostgreSQL in files of 500,000; the importing process is killed in
the middle of one and started again. Then queries are answered among a thousand, a hundred thousand and a
million learners who have ten records each, and a worker's memory is watched over 200,000 exchanges.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.progress import track

from bench.growth import GrowthFigures, measure_registries
from bench.memory import measure_memory, peak_rss_mib
from bench.plots import draw_memory
from bench.records_file import RECORDS_A_LEARNER, write_records
from bench.report import LARGE, Report
from gateway.clock import system_clock
from gateway.node.garbage import collect_seldom
from gateway.records import Registry, import_file
from gateway.schemes import load_scheme
from gateway.storage.engine import open_engine, reading
from gateway.storage.migrate import upgrade
from tests.federation.simulator import SECRET
from tests.postgres import fresh_database

FILE_ROWS = 500_000
SCHEME = Path(__file__).parents[1] / "node_config" / "shanghai" / "scheme.toml"


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(prog="make bench-large", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--exchanges", type=int, default=200_000)
    parser.add_argument("--file-rows", type=int, default=FILE_ROWS)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    report, console = Report(quick=False), Console(highlight=False)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="credit-gateway-large-")))
        sizes = sorted({10_000, arguments.records // 10, arguments.records})
        urls = {size: stack.enter_context(fresh_database()) for size in sizes}
        for size, url in urls.items():
            console.print(f"importing {size:,} records into PostgreSQL …")
            members = import_records(folder / str(size), url, size, arguments.file_rows)
            report.members[f"import_{size}"] = members
            report.row(
                f"import of {size:,} records", f"{members['rows_per_second']:,.0f}/s", "at least 20,000"
            )
            report.row("its peak memory", f"{members['peak_rss_mib']:.0f} MiB", "the same for any number")
        console.print("answering queries among few and many learners …")
        found = measure_registries(
            folder, {n // RECORDS_A_LEARNER: url for n, url in urls.items()}, rounds=15
        )
        _learners(report, found)
    console.print(f"watching a worker's memory over {arguments.exchanges:,} exchanges …")
    with tempfile.TemporaryDirectory(prefix="credit-gateway-large-") as name:
        memory = measure_memory(Path(name), arguments.exchanges)
    report.members["memory"] = {
        "idle_mib": round(memory.idle_mib, 1),
        "peak_mib": round(memory.peak_mib, 1),
        "growth_after_the_first_tenth_mib": round(memory.growth_mib, 1),
        "samples": [(count, round(mib, 1)) for count, mib in memory.samples],
    }
    report.row(
        "memory of a worker, idle and most",
        f"{memory.idle_mib:.0f} and {memory.peak_mib:.0f} MiB",
        "150, 250",
    )
    report.row("growth after the first tenth", f"{memory.growth_mib:.1f} MiB", "none")
    draw_memory(memory.samples, "memory-long")
    report.write(LARGE)
    report.show(console)


def _learners(report: Report, found: GrowthFigures) -> None:
    most, least = max(found.cpu_us), min(found.cpu_us)
    report.members["learners_cpu_us"] = {str(size): round(us, 1) for size, us in found.cpu_us.items()}
    how = (
        f"CPU of one answered query, PostgreSQL, among {most:,} over {least:,} learners with ten records each"
    )
    name = "learners_1e6_vs_1e3" if most == 1_000_000 else f"learners_{most}_vs_{least}"
    report.ratio(name, found.ratio, how, found.spread)
    for size, us in found.cpu_us.items():
        report.row(f"query, CPU among {size:,} learners", f"{us:.0f} µs")
    report.row("ratio", f"{found.ratio:.2f}", "at most 1.2")


def import_records(folder: Path, url: str, rows: int, file_rows: int = FILE_ROWS) -> dict[str, Any]:
    """Import ``rows`` records file by file, with one kill in the middle; return what it took."""
    folder.mkdir()
    starts = range(0, rows, file_rows)
    for start in track(starts, "writing files", transient=True):
        count = min(file_rows, rows - start)
        write_records(folder / f"records-{start:09}.csv", count, first=start)
    victim = list(starts)[len(starts) // 2] if len(starts) > 1 else None
    started_s = time.monotonic()
    reports = list(_import(folder, url, victim))
    seconds = time.monotonic() - started_s
    with reading(open_engine(url)) as connection:
        stored = connection.exec_driver_sql("SELECT count(*) FROM learner_record").scalar_one()
        size_bytes = connection.exec_driver_sql(
            "SELECT pg_total_relation_size('learner_record')"
        ).scalar_one()
    if stored != rows:
        raise RuntimeError(f"{stored} of {rows} records are there")
    for path in folder.iterdir():
        path.unlink()
    return {
        "rows": rows,
        "files": len(starts),
        "killed_and_resumed": victim is not None,
        "seconds_with_the_interruption": round(seconds, 1),
        "rows_per_second": round(rows / sum(each["seconds"] for each in reports)),
        "rows_per_second_by_file": [round(each["rows"] / each["seconds"]) for each in reports],
        "peak_rss_mib": round(max(each["peak_rss_mib"] for each in reports), 1),
        "peak_rss_mib_by_file": [round(each["peak_rss_mib"], 1) for each in reports],
        "bytes_a_record_with_indexes": round(size_bytes / rows),
    }


def _import(folder: Path, url: str, victim: int | None) -> Iterator[dict[str, Any]]:
    """Yield the report of each file; the process is killed while it imports ``victim``, and run again."""
    done: set[str] = set()
    dies_at = f"records-{victim:09}.csv" if victim is not None else ""
    for is_killed in (True, False) if victim is not None else (False,):
        process = subprocess.Popen(
            [sys.executable, "-c", "from bench.large import import_files as run; run()", str(folder), url],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            each = json.loads(line)
            if each.get("begins") == dies_at and is_killed:
                time.sleep(1)  # so that something of the file has been written; it is rolled back
                os.kill(process.pid, signal.SIGKILL)
                break
            if "file" in each and each["file"] not in done:
                done.add(each["file"])
                yield each
        process.wait()
        if process.returncode and not is_killed:
            raise RuntimeError("the import failed")


def import_files() -> None:
    """Import what is not there yet of ``argv[1]`` into ``argv[2]``; one line of JSON a file."""
    folder, url = Path(sys.argv[1]), sys.argv[2]
    engine = open_engine(url)
    upgrade(engine, "records")
    with reading(engine) as connection:
        rows = connection.exec_driver_sql("SELECT file_name FROM record_import WHERE state = 'complete'")
        complete = {row[0] for row in rows}
    scheme = load_scheme(SCHEME)
    collect_seldom()  # as `credit-gateway records import` does
    for path in sorted(folder.iterdir()):
        if path.name in complete:
            continue
        print(json.dumps({"begins": path.name}), flush=True)
        report = import_file(path, Registry(engine), scheme, SECRET, "shanghai", clock=system_clock)
        facts = {"rows": report.rows, "seconds": report.seconds, "peak_rss_mib": peak_rss_mib()}
        print(json.dumps({"file": path.name, **facts}), flush=True)


if __name__ == "__main__":
    main()
