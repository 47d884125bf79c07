"""What an append and a proof cost in logs of different sizes, and how such logs are filled."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from itertools import islice
from pathlib import Path

from bench.audit_drafts import KEY, ORIGIN, draft
from bench.load import ratio_of
from gateway.audit import AuditLog, Checkpoint, SeenMessage, leaf_bytes, prove_inclusion
from gateway.audit.merkle import append, edge_nodes, root_from_edge
from gateway.clock import monotonic_s, system_clock
from gateway.signing.signed_note import NoteSigner
from gateway.storage import audit_rows
from gateway.storage.audit_rows import TreeRow
from gateway.storage.engine import open_engine, reading, writing
from gateway.storage.node_tables import Database, Transaction

APPENDS_A_ROUND = 200
FILL_BATCH = 20_000
REAL_NEWEST = 8_192
"""Of a large log so many of the newest entries are real; the older ones are random bytes of that number."""
MADE_UP_FROM = 1_000_000
"""Logs of this size and more are filled with random bytes by one statement."""


@dataclass(frozen=True)
class GrowthFigures:
    """What one append and one proof cost in a log of a size."""

    entries: int
    append_cpu_us: float
    append_wall_us: float
    proof_cpu_us: float
    proof_bytes: int


def measure_growth(
    folder: Path, sizes: list[int], rounds: int
) -> tuple[list[GrowthFigures], float, tuple[float, float]]:
    """Append to logs of different sizes by turns, one entry a commit.

    Returns the figures of each, and what an append to the largest costs over one to the smallest: the
    median of the rounds' own ratios, the least and the most.
    """
    engines = {size: filled(folder / f"log-{size}.db", size) for size in sizes}
    logs = {
        size: AuditLog.open(engine, ORIGIN, KEY, system_clock, bytes(32)) for size, engine in engines.items()
    }
    cpu: dict[int, list[float]] = {size: [] for size in sizes}
    wall: dict[int, list[float]] = {size: [] for size in sizes}
    until = system_clock() + timedelta(minutes=5)
    for round_ in range(rounds + 1):
        for size, log in logs.items():
            cpu_s, started_s = time.process_time(), monotonic_s()
            for _ in range(APPENDS_A_ROUND):
                log.append(draft(), SeenMessage(secrets.token_bytes(16), until))
            if not round_:  # the first round warms up
                continue
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
    return found, *ratio_of(cpu[sizes[-1]], cpu[sizes[0]])


def _measure_proofs(engine: Database, size: int) -> tuple[float, int]:
    """Return CPU of one proof out of the database, microseconds, and the bytes of its hashes."""
    with reading(engine) as connection:
        places = [size - 1 - secrets.randbelow(min(size, REAL_NEWEST // 2)) for _ in range(300)]
        cpu_s = time.process_time()
        proofs = [prove_inclusion(connection, place, size) for place in places]
        cpu_us = (time.process_time() - cpu_s) / len(places) * 1e6
    return cpu_us, max(len(proof) for proof in proofs) * 32


def filled(path: Path, size: int, checkpoint_every: int = 0) -> Database:
    """Return a database whose log holds ``size`` entries, written in large transactions.

    ``checkpoint_every`` so many entries there is a signed checkpoint, as groups of that size leave; such a
    log is real throughout, and can be verified.
    """
    engine = open_engine(f"sqlite:///{path}")
    AuditLog.create(engine, ORIGIN, clock=system_clock, born_with_keys=True)
    leaves = _leaves()
    with writing(engine) as transaction:
        for index in ("ix_audit_entry_exchange_id", "audit_entry_peer"):
            transaction.exec_driver_sql(f"DROP INDEX {index}")
        is_made_up = size >= MADE_UP_FROM and not checkpoint_every
        made_up = (size - REAL_NEWEST) // REAL_NEWEST * REAL_NEWEST if is_made_up else 0
        edge = _make_up(transaction, made_up) if made_up else []
    done = made_up
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


def _make_up(transaction: Transaction, size: int) -> list[bytes]:
    """Fill the log with random bytes as entries and nodes, and return the edge of the tree.

    An append, and a proof of a newest entry, read the edge, the indexes and a path of nodes: they cost
    the same whatever the older entries say.
    """
    numbers = "(WITH RECURSIVE n(v) AS (SELECT 0 UNION ALL SELECT v + 1 FROM n LIMIT ?) SELECT v FROM n)"
    transaction.exec_driver_sql(
        "INSERT INTO audit_entry (idx, leaf, leaf_hash, exchange_id, peer, logged_at) "
        f"SELECT v, randomblob(64), randomblob(32), randomblob(16), 'zhejiang', 1 FROM {numbers}",
        (size,),
    )
    transaction.exec_driver_sql(
        f"INSERT INTO audit_node (position, hash) SELECT v, randomblob(32) FROM {numbers}",
        (size - size.bit_count(),),
    )
    edge = [audit_rows.read_hash(transaction, level, index) for level, index in edge_nodes(size)]
    return [hashed for hashed in edge if hashed is not None]


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
