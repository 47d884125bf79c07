"""The audit log: durable appends, growth, proofs, verification; pymerkle beside it."""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.memory import peak_rss_mib
from gateway.audit import AuditLog, Checkpoint, EntryDraft, SeenMessage, leaf_bytes, prove_inclusion
from gateway.audit.merkle import append, root_from_edge
from gateway.audit.self_check import verify_log
from gateway.clock import monotonic_s, system_clock
from gateway.signing.signed_note import NoteSigner
from gateway.storage import audit_rows
from gateway.storage.audit_rows import TreeRow
from gateway.storage.engine import open_engine, reading, writing
from gateway.storage.node_tables import Database, Transaction

ORIGIN = "audit.bench.example/2026"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
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


@dataclass(frozen=True)
class GrowthFigures:
    """What one append and one proof cost in a log of a size."""

    entries: int
    append_cpu_us: float
    append_wall_us: float
    proof_cpu_us: float
    proof_bytes: int


def draft() -> EntryDraft:
    """An entry as the answering side logs it."""
    return EntryDraft(
        kind="exchange",
        role="answerer",
        asker="zhejiang",
        answerer="shanghai",
        exchange_id=secrets.token_bytes(16),
        peer_seq=1,
        method="/creditexchange.v1.RecordExchangeService/QueryRecords",
        purpose="employment",
        outcome="OK",
        count=3,
        request_digest=secrets.token_bytes(32),
        answer_digest=secrets.token_bytes(32),
    )


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


def measure_growth(folder: Path, sizes: list[int]) -> list[GrowthFigures]:
    """Append to logs of different sizes by turns, one entry a commit."""
    engines = {size: _filled(folder / f"log-{size}.db", size) for size in sizes}
    logs = {
        size: AuditLog.open(engine, ORIGIN, KEY, system_clock, bytes(32)) for size, engine in engines.items()
    }
    cpu: dict[int, list[float]] = {size: [] for size in sizes}
    wall: dict[int, list[float]] = {size: [] for size in sizes}
    until = system_clock() + timedelta(minutes=5)
    for _ in range(ROUNDS):
        for size, log in logs.items():
            cpu_s, started_s = time.process_time(), monotonic_s()
            for _ in range(APPENDS_A_ROUND):
                log.append(draft(), SeenMessage(secrets.token_bytes(16), until))
            cpu[size].append((time.process_time() - cpu_s) / APPENDS_A_ROUND * 1e6)
            wall[size].append((monotonic_s() - started_s) / APPENDS_A_ROUND * 1e6)
    found = []
    for size in sizes:
        proof_us, proof_bytes = _measure_proofs(engines[size], size)
        found.append(
            GrowthFigures(
                size, statistics.median(cpu[size]), statistics.median(wall[size]), proof_us, proof_bytes
            )
        )
    for size in sizes:
        logs[size].close()
        engines[size].dispose()
    return found


def measure_verify(folder: Path, size: int) -> tuple[float, float]:
    """Verify a log of ``size`` entries in a process of its own; return entries per CPU-second and peak MB."""
    database = folder / f"verify-{size}.db"
    _filled(database, size, checkpoint_every=8).dispose()
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


def _measure_proofs(engine: Database, size: int) -> tuple[float, int]:
    """Return CPU of one proof out of the database, microseconds, and the bytes of its hashes."""
    with reading(engine) as connection:
        places = [secrets.randbelow(size) for _ in range(300)]
        cpu_s = time.process_time()
        proofs = [prove_inclusion(connection, place, size) for place in places]
        cpu_us = (time.process_time() - cpu_s) / len(places) * 1e6
    return cpu_us, max(len(proof) for proof in proofs) * 32


def _filled(path: Path, size: int, checkpoint_every: int = 0) -> Database:
    """Return a database whose log holds ``size`` entries, written in large transactions.

    ``checkpoint_every`` so many entries there is a signed checkpoint, as groups of that size leave.
    """
    engine = open_engine(f"sqlite:///{path}")
    AuditLog.create(engine, ORIGIN, clock=system_clock, born_with_keys=True)
    edge: list[bytes] = []
    leaves = _leaves()
    with writing(engine) as transaction:
        for index in ("ix_audit_entry_exchange_id", "audit_entry_peer"):
            transaction.exec_driver_sql(f"DROP INDEX {index}")
    done = 0
    while done < size:
        count = min(FILL_BATCH, size - done)
        with writing(engine) as transaction:
            _insert(transaction, edge, done, list(islice(leaves, count)), checkpoint_every)
        done += count
    signer = NoteSigner(ORIGIN, KEY)
    with writing(engine) as transaction:
        root = root_from_edge(edge)
        audit_rows.update_tree(transaction, ORIGIN, TreeRow(size, root, tuple(edge), 1))
        if not checkpoint_every or size % checkpoint_every:
            audit_rows.insert_checkpoint(transaction, size, Checkpoint(ORIGIN, size, root).sign([signer]))
        transaction.exec_driver_sql("CREATE INDEX ix_audit_entry_exchange_id ON audit_entry (exchange_id)")
        transaction.exec_driver_sql("CREATE INDEX audit_entry_peer ON audit_entry (peer, idx)")
    return engine


def _leaves() -> Iterator[tuple[bytes, bytes]]:
    """Yield exchange ids and leaves, made by replacing the id in one."""
    first = draft()
    before, after = leaf_bytes(first, 1).split(first.exchange_id.hex().encode())
    while True:
        exchange_id = secrets.token_bytes(16)
        yield exchange_id, before + exchange_id.hex().encode() + after


def _insert(
    transaction: Transaction,
    edge: list[bytes],
    start: int,
    items: list[tuple[bytes, bytes]],
    checkpoint_every: int,
) -> None:
    signer = NoteSigner(ORIGIN, KEY)
    rows, nodes = [], []
    for index, (exchange_id, leaf) in enumerate(items, start):
        hashed = sha256(b"\x00" + leaf).digest()
        nodes += [value for _, _, value in append(edge, index, hashed)]
        rows.append((index, leaf, hashed, exchange_id, "zhejiang", 1))
        if checkpoint_every and not (index + 1) % checkpoint_every:
            note = Checkpoint(ORIGIN, index + 1, root_from_edge(edge)).sign([signer])
            audit_rows.insert_checkpoint(transaction, index + 1, note)
    audit_rows.insert_entries(transaction, rows)
    audit_rows.insert_nodes(transaction, start - start.bit_count(), nodes)
