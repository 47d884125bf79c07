"""Memory does not grow with the file: a generated file of 200,000 rows, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROWS = 80_000
RSS_MIB_MAX = 220
"""Interpreter and libraries take about 70 MiB, SQLite's cache during an import up to 64 MiB."""

MEASURE = """
import json, sys
from pathlib import Path
from bench.memory import peak_rss_mib
from gateway.clock import system_clock
from gateway.records import Registry, import_file
from gateway.storage.engine import open_engine
from gateway.storage.migrate import upgrade
from tests.records import synthetic

folder, rows, broken = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "broken"
def make():
    for row in synthetic.make_rows(rows):
        if broken:
            row["credits"] = "x"
        yield row
path = synthetic.write_csv(folder / "rows.csv", make())
engine = open_engine(f"sqlite:///{folder / 'records.db'}")
upgrade(engine, "records")
refused = 0
def count(_refusal):
    global refused
    refused += 1
report = import_file(path, Registry(engine), synthetic.scheme(), synthetic.SECRET, synthetic.NODE,
    system_clock, report=count)
rss = int(peak_rss_mib())
print(json.dumps({"rows": report.rows, "added": report.added, "refused": refused, "rss_mib": rss}))
"""


def measure(folder: Path, rows: int, state: str) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, folder, str(rows), state],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(done.stdout))


def test_a_large_file_takes_bounded_memory(tmp_path: Path) -> None:
    seen = measure(tmp_path, ROWS, "good")
    assert (seen["rows"], seen["added"]) == (ROWS, ROWS)
    assert seen["rss_mib"] < RSS_MIB_MAX


def test_refusals_are_not_piled_up(tmp_path: Path) -> None:
    seen = measure(tmp_path, 30_000, "broken")
    assert seen["refused"] == 30_000
    assert seen["rss_mib"] < RSS_MIB_MAX
