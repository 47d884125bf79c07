"""Records a CPU-second in bulk and one learner at a time; what both sides hold while it runs."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.growth import SCHEME
from bench.records_file import learner_id, write_records
from gateway.clock import system_clock
from gateway.exchange.asking.ask import ask_each
from gateway.exchange.asking.ask_peer import Asking
from gateway.exchange.asking.bulk import BulkQuestion, ask_in_bulk
from gateway.exchange.asking.question import PeerResult
from gateway.policy.purposes import KINDS
from gateway.records import Registry, import_file
from gateway.schemes import load_scheme
from gateway.storage.engine import open_engine
from gateway.storage.migrate import upgrade
from tests.federation.real_wire import real_wire
from tests.federation.simulator import EMPLOYMENT, SECRET, STATUTE, SimulatedNode, make_federation
from tests.ports import free_port

AT_ONCE = 1_000
ROUNDS = 7


@dataclass(frozen=True)
class BulkFigures:
    """CPU of both sides together, with TLS and HTTP/2 on loopback."""

    single_records_per_cpu_s: float
    bulk_records_per_cpu_s: float
    held_mb_few: float
    """Most memory that Python held more during a query about 100 learners, MB."""
    held_mb_many: float
    """The same about 1,000."""


def measure_bulk(folder: Path, singles: int, a_learner: int) -> BulkFigures:
    """Measure in a process of its own, with so many records ``a_learner`` in a registry on SQLite."""
    code = "import sys; from bench.bulk import bulk_in_this_process as run; run(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(singles), str(a_learner)],
        capture_output=True,
        text=True,
        check=True,
    )
    return BulkFigures(**json.loads(done.stdout.splitlines()[-1]))


def bulk_in_this_process(folder: str, singles: str, a_learner: str) -> None:
    """Measure and print the figures as JSON."""
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    path = Path(folder) / a_learner
    path.mkdir()
    federation = make_federation(path, "zhejiang", "shanghai", born=system_clock())
    federation["shanghai"].shelf = _registry(path, int(a_learner))  # type: ignore[assignment]
    everybody = [learner_id(number) for number in range(AT_ONCE)]
    with real_wire(federation["zhejiang"], federation["shanghai"], free_port()) as wire:
        zhejiang = federation["zhejiang"]
        few = everybody[: int(singles)]
        _single(zhejiang, wire.asking, few[:10])
        rounds = [
            (_single(zhejiang, wire.asking, few), _bulk(zhejiang, wire.asking, everybody))
            for _ in range(ROUNDS)
        ]
        single, bulk = (statistics.median(each) for each in zip(*rounds, strict=True))
        held = [_held_mb(zhejiang, wire.asking, everybody[:count]) for count in (AT_ONCE // 10, AT_ONCE)]
    figures = BulkFigures(single, bulk, *held)
    sys.stdout.write(json.dumps(vars(figures)) + "\n")


def _registry(folder: Path, a_learner: int) -> Registry:
    source = folder / "bulk.csv"
    write_records(source, AT_ONCE * a_learner, a_learner)
    engine = open_engine(f"sqlite:///{folder / 'bulk-records.db'}")
    upgrade(engine, "records")
    registry = Registry(engine)
    import_file(source, registry, load_scheme(SCHEME), SECRET, "shanghai", clock=system_clock)
    return registry


def _single(zhejiang: SimulatedNode, asking: Asking, whom: Sequence[str]) -> float:
    started, records = time.process_time(), 0
    for identifier in whom:
        question = zhejiang.question("shanghai", learner_identifier=identifier, kinds=(KINDS["course"],))
        for came in ask_each(question, zhejiang.snapshot, asking):
            if isinstance(came, PeerResult):
                assert came.outcome == "OK"
                records += len(came.records)
    assert records >= len(whom)
    return records / (time.process_time() - started)


def _bulk(zhejiang: SimulatedNode, asking: Asking, whom: Sequence[str]) -> float:
    question = BulkQuestion(
        learners=[("resident-id", identifier) for identifier in whom],
        purpose=EMPLOYMENT,
        kinds=(KINDS["course"],),
        peer=zhejiang.snapshot.roster.peers["shanghai"],
        legal_basis=STATUTE,
        deadline_s=30.0,
    )
    started, records = time.process_time(), 0
    for came in ask_in_bulk(question, zhejiang.snapshot, asking):
        if isinstance(came, PeerResult):
            assert came.outcome == "OK", came
        else:
            records += sum(len(part.part.records) for part in came if part.part is not None)
    assert records >= len(whom)
    return records / (time.process_time() - started)


def _held_mb(zhejiang: SimulatedNode, asking: Asking, whom: Sequence[str]) -> float:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    _bulk(zhejiang, asking, whom)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (peak - before) / 2**20
