"""The audit log: durable appends, growth, proofs, verification; pymerkle beside it."""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bench.audit_drafts import KEY, ORIGIN, draft
from bench.audit_growth import filled
from bench.memory import peak_rss_mib
from gateway.audit import AuditLog, SeenMessage
from gateway.audit.self_check import verify_log
from gateway.clock import monotonic_s, system_clock
from gateway.signing.signed_note import NoteSigner
from gateway.storage import audit_rows
from gateway.storage.engine import open_engine, reading
from gateway.storage.node_tables import Database

ROUNDS = 9
APPENDS_A_ROUND = 200
FILL_BATCH = 20_000
PYMERKLE = Path(__file__).parents[1] / ".bench-packages"


@dataclass(frozen=True)
class AppendFigures:
    """Durable appends under some number of concurrent exchanges."""

    threads: int
    per_second: float
    cpu_us: float
    group: float
    """Entries a commit, on average."""


def measure_concurrency(folder: Path, threads: int, appends: int) -> AppendFigures:
    """Append from ``threads`` threads at once to a log of its own."""
    engine = open_engine(f"sqlite:///{folder / f'threads-{threads}.db'}")
    log = _new_log(engine)
    until = system_clock() + timedelta(minutes=5)

    def work(count: int) -> None:
        for _ in range(count):
            log.append(draft(), SeenMessage(secrets.token_bytes(16), until))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, [5] * threads))
        size, cpu_s, started_s = log.size, time.process_time(), monotonic_s()
        list(pool.map(work, [appends // threads] * threads))
        wall_s, cpu_s = monotonic_s() - started_s, time.process_time() - cpu_s
    done = log.size - size
    with reading(engine) as connection:
        commits = sum(1 for _ in audit_rows.stream_checkpoints(connection, size))
    log.close()
    engine.dispose()
    return AppendFigures(threads, done / wall_s, cpu_s / done * 1e6, done / commits)


def measure_verify(folder: Path, size: int) -> tuple[float, float]:
    """Verify a log of ``size`` entries in a process of its own; return entries per CPU-second and peak MB."""
    database = folder / f"verify-{size}.db"
    filled(database, size, checkpoint_every=8).dispose()
    code = "import sys; from bench.audit import verify_in_this_process as run; run(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(database)], capture_output=True, text=True, check=True
    )
    figures = json.loads(done.stdout)
    return figures["per_cpu_second"], figures["peak_mb"]


def verify_in_this_process(database: str) -> None:
    """Verify and print the figures as JSON."""
    engine = open_engine(f"sqlite:///{database}")
    cpu_s = time.process_time()
    report = verify_log(engine, NoteSigner(ORIGIN, KEY).verifier.vkey)
    cpu_s = time.process_time() - cpu_s
    if not report.ok:
        raise SystemExit(str(report.findings))
    print(json.dumps({"per_cpu_second": report.entries / cpu_s, "peak_mb": peak_rss_mib()}))


def measure_pymerkle(folder: Path, appends: int) -> tuple[float, float]:
    """Return durable appends a second of pymerkle's SqliteTree and of ours, measured by turns.

    pymerkle (GPL) is installed in a folder of its own and run in a process of its own.
    """
    if not (PYMERKLE / "pymerkle").is_dir():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--target", str(PYMERKLE), "pymerkle==7.0.0"],
            check=True, capture_output=True,
        )  # fmt: skip
    code = (
        "import sys, os, time\nfrom pymerkle import SqliteTree\n"
        "tree = SqliteTree(sys.argv[1], algorithm='sha256')\nn = int(sys.argv[2])\n"
        "started = time.perf_counter()\n"
        "for _ in range(n): tree.append_entry(os.urandom(450))\n"
        "print(n / (time.perf_counter() - started))"
    )
    theirs, ours = [], []
    for turn in range(3):
        database = folder / f"pymerkle-{turn}.db"
        done = subprocess.run(
            [sys.executable, "-c", code, str(database), str(appends)],
            capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(PYMERKLE)},
        )  # fmt: skip
        theirs.append(float(done.stdout))
        turn_folder = folder / f"turn-{turn}"
        turn_folder.mkdir()
        ours.append(measure_concurrency(turn_folder, 1, appends).per_second)
    return statistics.median(theirs), statistics.median(ours)


def _new_log(engine: Database) -> AuditLog:
    AuditLog.create(engine, ORIGIN, clock=system_clock, born_with_keys=True)
    return AuditLog.open(engine, ORIGIN, KEY, system_clock, bytes(32))
