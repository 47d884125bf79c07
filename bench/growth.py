"""What an answered query costs as learners and peers become many, and what an import takes."""

from __future__ import annotations

import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import ratio_of
from bench.memory import peak_rss_mib
from bench.records_file import RECORDS_A_LEARNER, learner_id, write_records
from gateway.clock import monotonic_s, system_clock
from gateway.exchange.answering.answer import Answering, answer_query
from gateway.exchange.messages import QUERY_RECORDS, IncomingCall, Snapshot
from gateway.learners.subject_token import FederationSecret
from gateway.node.garbage import collect_seldom
from gateway.peers.roster import Roster
from gateway.records import Registry, import_file
from gateway.schemes import load_scheme
from gateway.storage.engine import open_engine
from gateway.storage.migrate import upgrade
from tests.federation.provinces import Province
from tests.federation.simulator import SECRET, SimulatedNode, all_granted, draft, make_federation

SCHEME = Path(__file__).parents[1] / "node_config" / "shanghai" / "scheme.toml"
LEARNERS_FEW = 1_000
CALLS_A_ROUND = 200
FILLER_BYTES = 200


@dataclass(frozen=True)
class ImportFigures:
    """What one import took."""

    rows: int
    seconds: float
    cpu_seconds: float
    peak_rss_mb: float


@dataclass(frozen=True)
class GrowthFigures:
    """CPU microseconds of one answered query by size: the median of the rounds, and most over least size."""

    cpu_us: dict[int, float]
    ratio: float
    """Median of the rounds' own ratios."""
    spread: tuple[float, float]


def measure_import(folder: Path, rows: int) -> ImportFigures:
    """Import ``rows`` records into ``folder/records-ROWS.db`` in a process of its own."""
    source = folder / f"records-{rows}.csv"
    write_records(source, rows)
    code = "import sys; from bench.growth import import_in_this_process as run; run(*sys.argv[1:])"
    url = f"sqlite:///{folder / f'records-{rows}.db'}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), url], capture_output=True, text=True, check=True
    )
    source.unlink()
    return ImportFigures(**json.loads(done.stdout))


def import_in_this_process(source: str, url: str) -> None:
    """Import and print the figures as JSON."""
    engine = open_engine(url)
    upgrade(engine, "records")
    collect_seldom()  # as `credit-gateway records import` does
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


def measure_learners(folder: Path, sizes: Sequence[int], rounds: int) -> GrowthFigures:
    """Answer queries about the same 1,000 learners, who have ten records each, among ``sizes`` of learners.

    All others are filled in by one statement, one short record each, under random subject tokens: what a
    look-up costs depends on how many there are, and not on what theirs hold.
    """
    registries = {}
    measure_import(folder, LEARNERS_FEW * RECORDS_A_LEARNER)
    for size in sizes:
        copy = shutil.copy(folder / f"records-{LEARNERS_FEW * RECORDS_A_LEARNER}.db", folder / f"{size}.db")
        engine = open_engine(f"sqlite:///{copy}")
        with engine.begin() as connection:
            connection.exec_driver_sql(_FILL, (size - LEARNERS_FEW,))
        registries[size] = Registry(engine)
    federation = make_federation(folder, "zhejiang", "shanghai")
    shanghai = federation["shanghai"]
    cases = {size: (registry, shanghai.snapshot) for size, registry in registries.items()}
    return _by_turns(shanghai, federation["zhejiang"].province, cases, rounds)


def measure_registries(folder: Path, urls: Mapping[int, str], rounds: int) -> GrowthFigures:
    """Answer queries about learners of registries that are filled already, by how many learners they hold."""
    federation = make_federation(folder, "zhejiang", "shanghai")
    shanghai = federation["shanghai"]
    cases = {size: (Registry(open_engine(url)), shanghai.snapshot) for size, url in urls.items()}
    return _by_turns(shanghai, federation["zhejiang"].province, cases, rounds, are_all_real=True)


_FILL = f"""
    INSERT INTO learner_record (record_id, subject_token, epoch, kind, original, translated, scheme_digest,
        content_digest, import_id, line)
    SELECT 'F' || value, randomblob(32), '2026', 1, X'7B7D', randomblob({FILLER_BYTES}), randomblob(32),
        randomblob(32), 1, value
    FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT ?) SELECT value FROM n)
"""


def measure_peers(folder: Path, sizes: Sequence[int], rounds: int) -> GrowthFigures:
    """Answer one peer's queries while so many are known, each with keys, a CA and grants of its own."""
    measure_import(folder, LEARNERS_FEW * RECORDS_A_LEARNER)
    url = f"sqlite:///{folder / f'records-{LEARNERS_FEW * RECORDS_A_LEARNER}.db'}"
    registry = Registry(open_engine(url))
    federation = make_federation(folder, "zhejiang", "shanghai")
    shanghai, asker = federation["shanghai"], federation["zhejiang"].province
    provinces = [asker, *(Province(f"province-{number:03}") for number in range(max(sizes) - 1))]
    peers = [province.peer() for province in provinces]
    cases = {}
    for size in sizes:
        shanghai.adopt(
            roster=Roster.of(peers[:size]), access=all_granted(*(peer.node_id for peer in peers[:size]))
        )
        cases[size] = registry, shanghai.snapshot
    return _by_turns(shanghai, asker, cases, rounds)


def _by_turns(
    node: SimulatedNode,
    asker: Province,
    cases: Mapping[int, tuple[Registry, Snapshot]],
    rounds: int,
    *,
    are_all_real: bool = False,
) -> GrowthFigures:
    """Answer by turns; the whole answering side runs: signature, grants, look-up, durable log, signature."""
    chooser = random.Random(7)
    costs: dict[int, list[float]] = {size: [] for size in cases}
    for round_ in range(rounds + 1):
        for size, (registry, snapshot) in cases.items():
            among = size if are_all_real else LEARNERS_FEW
            whom = (learner_id(chooser.randrange(among)) for _ in range(CALLS_A_ROUND))
            requests = [draft("zhejiang", "shanghai", node.clock(), each).signed(asker) for each in whom]
            cost = _cpu_us(requests, node, registry, snapshot)
            if round_:  # the first round warms up
                costs[size].append(cost)
    ratio, spread = ratio_of(costs[max(cases)], costs[min(cases)])
    return GrowthFigures({size: statistics.median(each) for size, each in costs.items()}, ratio, spread)


def _cpu_us(requests: list[bytes], node: SimulatedNode, registry: Registry, snapshot: Snapshot) -> float:
    answering = Answering(registry, node.log, node.metrics, node.clock)
    peer = snapshot.roster.peers["zhejiang"]
    calls = [IncomingCall(QUERY_RECORDS, peer, node.clock(), monotonic_s() + 60) for _ in requests]
    started = time.process_time()
    for request, call in zip(requests, calls, strict=True):
        answer_query(request, call, snapshot, answering)
    return (time.process_time() - started) / len(requests) * 1e6
