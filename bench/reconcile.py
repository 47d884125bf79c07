"""Comparing two large logs: entries a CPU-second of the side that compares, and its peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.audit_drafts import draft
from bench.memory import peak_rss_mib
from gateway.audit import AuditLog, Checkpoint, Witness, leaf_bytes, leaf_hash
from gateway.audit.merkle import append, root_from_edge
from gateway.clock import new_id, system_clock
from gateway.exchange.answering.audit_log import AuditAnswering
from gateway.exchange.asking.audit_log import PeerAudit
from gateway.peers.roster import Peer
from gateway.signing.signed_note import NoteSigner
from gateway.storage import audit_rows
from gateway.storage.audit_rows import TreeRow
from gateway.storage.engine import open_engine, writing
from gateway.upkeep.reconciling import Reconciling
from tests.federation.provinces import Province

BATCH = 20_000


def measure_reconcile(folder: Path, size: int) -> tuple[float, float]:
    """Compare two logs of ``size`` entries in a process of its own; return entries/CPU-s and peak MB."""
    code = "import sys; from bench.reconcile import reconcile_in_this_process as run; run(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(size)], capture_output=True, text=True, check=True
    )
    figures = json.loads(done.stdout)
    return figures["per_cpu_second"], figures["peak_mb"]


def reconcile_in_this_process(folder: str, count: str) -> None:
    """Fill two logs about the same exchanges, compare them, and print the figures as JSON."""
    size = int(count)
    asker, answerer = Province("zhejiang"), Province("shanghai")
    logs = _filled(Path(folder), (asker, answerer), size)
    answering = AuditAnswering(logs[1], Witness(logs[1], answerer.witness, system_clock))
    asking_peer = asker.peer()

    class Wire:
        """Hands each request to the other log; its CPU time is not the comparing side's."""

        spent_s = 0.0

        def call(self, _peer: Peer, _method: str, request: bytes, _timeout_s: float) -> bytes:
            started_s = time.process_time()
            response = answering.list_shared_entries(request, asking_peer)
            self.spent_s += time.process_time() - started_s
            return response

        def forget(self, keep: Sequence[Peer]) -> None:
            """Nothing is kept open."""

    wire = Wire()
    witness = Witness(logs[0], asker.witness, system_clock)
    reconciling = Reconciling(logs[0], witness, "zhejiang", system_clock)
    audit = PeerAudit(answerer.peer(), wire, 30)
    cpu_s = time.process_time()
    step = reconciling.step(audit)
    while not step.done:
        step = reconciling.step(audit)
    cpu_s = time.process_time() - cpu_s - wire.spent_s
    if (step.matched, step.findings) != (size, 0):
        raise SystemExit(f"{step}")
    print(json.dumps({"per_cpu_second": size / cpu_s, "peak_mb": peak_rss_mib()}))


def _filled(folder: Path, provinces: tuple[Province, Province], size: int) -> list[AuditLog]:
    """Return the log of each side, with its entry about every one of ``size`` exchanges."""
    engines = []
    for province in provinces:
        engine = open_engine(f"sqlite:///{folder / province.node_id}.db")
        AuditLog.create(engine, province.log_origin, clock=system_clock, born_with_keys=True)
        engines.append(engine)
    edges: list[list[bytes]] = [[], []]
    first = draft()
    for start in range(0, size, BATCH):
        indexes = range(start, min(start + BATCH, size))
        drafts = [replace(first, exchange_id=new_id(), peer_seq=index + 1) for index in indexes]
        for side, (role, peer) in enumerate((("asker", "shanghai"), ("answerer", "zhejiang"))):
            rows, nodes = [], []
            for index, entry in zip(indexes, drafts, strict=True):
                leaf = leaf_bytes(replace(entry, role=role), 1_700_000_000_000)  # type: ignore[arg-type]
                hashed = leaf_hash(leaf)
                nodes += [value for _, _, value in append(edges[side], index, hashed)]
                rows.append((index, leaf, hashed, entry.exchange_id, peer, 1_700_000_000_000))
            with writing(engines[side]) as transaction:
                audit_rows.insert_entries(transaction, rows)
                audit_rows.insert_nodes(transaction, start - start.bit_count(), nodes)
    logs = []
    for province, engine, edge in zip(provinces, engines, edges, strict=True):
        origin, root = province.log_origin, root_from_edge(edge)
        note = Checkpoint(origin, size, root).sign([NoteSigner(origin, province.log_key.private)])
        with writing(engine) as transaction:
            audit_rows.update_tree(transaction, origin, TreeRow(size, root, tuple(edge), 1_700_000_000_000))
            audit_rows.insert_checkpoint(transaction, size, note)
        logs.append(AuditLog.open(engine, origin, province.log_key.private, system_clock, bytes(32)))
    return logs
