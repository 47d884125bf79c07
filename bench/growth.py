"""Import of many records in constant memory, and what a query costs among few and among many."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.memory import peak_rss_mib
from bench.records_file import RECORDS_A_LEARNER, learner_id, write_records
from gateway.audit import AuditLog
from gateway.clock import monotonic_s, system_clock
from gateway.exchange.answering.answer import Answering, answer_query
from gateway.exchange.messages import QUERY_RECORDS, IncomingCall
from gateway.learners.subject_token import FederationSecret
from gateway.records import Registry, import_file
from gateway.schemes import load_scheme
from gateway.storage.engine import open_engine
from gateway.storage.migrate import upgrade
from tests.federation.simulator import SECRET, SimulatedNode, draft, make_federation

SCHEME = Path(__file__).parents[1] / "node_config" / "shanghai" / "scheme.toml"
ROUNDS = 9
CALLS_A_ROUND = 300


@dataclass(frozen=True)
class ImportFigures:
    """What one import took."""

    rows: int
    seconds: float
    cpu_seconds: float
    peak_rss_mb: float


def measure_import(folder: Path, rows: int) -> ImportFigures:
    """Import ``rows`` records into ``folder/records-ROWS.db`` in a process of its own."""
    source = folder / f"records-{rows}.csv"
    write_records(source, rows)
    code = "import sys; from bench.growth import import_in_this_process as run; run(*sys.argv[1:])"
    database = folder / f"records-{rows}.db"
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), str(database)], capture_output=True, text=True, check=True
    )
    source.unlink()
    return ImportFigures(**json.loads(done.stdout))


def import_in_this_process(source: str, database: str) -> None:
    """Import and print the figures as JSON."""
    engine = open_engine(f"sqlite:///{database}")
    upgrade(engine, "records")
    started = time.process_time()
    secret: FederationSecret = SECRET
    report = import_file(
        Path(source), Registry(engine), load_scheme(SCHEME), secret, "shanghai", clock=system_clock
    )
    figures = {
        "rows": report.rows,
        "seconds": report.seconds,
        "cpu_seconds": time.process_time() - started,
        "peak_rss_mb": peak_rss_mib(),
    }
    sys.stdout.write(json.dumps(figures))


def measure_queries(folder: Path, few: int, many: int) -> tuple[float, float]:
    """Return the CPU microseconds of one answered query among ``few`` and among ``many`` records.

    The whole answering side runs: signature, grants, look-up, durable log, signature. The two are
    measured in turns; the medians of the rounds are returned.
    """
    federation = make_federation(folder, "zhejiang", "shanghai")
    shanghai = federation["shanghai"]
    asker = federation["zhejiang"].province
    registries = {n: Registry(open_engine(f"sqlite:///{folder / f'records-{n}.db'}")) for n in (few, many)}
    chooser = random.Random(7)
    costs: dict[int, list[float]] = {few: [], many: []}
    for round_ in range(ROUNDS + 1):
        for rows, registry in registries.items():
            requests = [
                draft(
                    "zhejiang",
                    "shanghai",
                    shanghai.clock(),
                    learner_id(chooser.randrange(rows // RECORDS_A_LEARNER)),
                ).signed(asker)
                for _ in range(CALLS_A_ROUND)
            ]
            cost = _cpu_of(requests, shanghai, registry)
            if round_:  # the first round warms up
                costs[rows].append(cost)
    return statistics.median(costs[few]), statistics.median(costs[many])


def _cpu_of(requests: list[bytes], node: SimulatedNode, registry: Registry) -> float:
    log: AuditLog = node.log
    answering = Answering(registry, log, node.metrics, node.clock)
    peer = node.snapshot.roster.peers["zhejiang"]
    calls = [IncomingCall(QUERY_RECORDS, peer, node.clock(), monotonic_s() + 60) for _ in requests]
    started = time.process_time()
    for request, call in zip(requests, calls, strict=True):
        answer_query(request, call, node.snapshot, answering)
    return (time.process_time() - started) / len(requests) * 1e6
