"""What a quota costs: entries appended with and without a charge, in turns. ``python -m bench.quota``."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from gateway.audit import AuditLog
from gateway.clock import monotonic_s, system_clock
from gateway.signing.suites import SigningKey
from gateway.storage.engine import open_engine
from gateway.storage.quota_rows import Allowance, Charge
from tests.audit.drafts import answered
from tests.postgres import fresh_database

ROUNDS, ENTRIES = 25, 80
KEY = SigningKey.generate()
ORIGIN = "audit.bench.example/2026"


def measure(url: str, threads: int) -> tuple[float, float]:
    """Return microseconds an entry, without and with a charge: the best of rounds in turns.

    The best, because whatever else the machine does only ever adds.
    """
    engine = open_engine(url)
    AuditLog.create(engine, ORIGIN, clock=system_clock, born_with_keys=True)
    log = AuditLog.open(engine, ORIGIN, KEY.private, system_clock, bytes(32))
    ends = system_clock() + timedelta(hours=8)
    charge = Charge("2026-11-25", "zhejiang", "employment", 1, (Allowance(frozenset(), 1_000_000_000),), ends)
    found: dict[bool, list[float]] = {False: [], True: []}
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(ROUNDS):
            for charged in (False, True):
                started_s = monotonic_s()
                one = charge if charged else None
                list(pool.map(lambda _, one=one: log.append(answered(), charge=one), range(ENTRIES)))
                found[charged].append((monotonic_s() - started_s) / ENTRIES * 1e6)
    log.close()
    engine.dispose()
    return min(found[False]), min(found[True])


def main() -> None:
    """Print the table."""
    print("engine      threads  without µs  with µs  more")
    with tempfile.TemporaryDirectory() as folder, fresh_database() as postgres:
        for name, url in (("sqlite", f"sqlite:///{Path(folder) / 'node.db'}"), ("postgresql", postgres)):
            for threads in (1, 8):
                plain, charged = measure(url, threads)
                print(
                    f"{name:<11} {threads:>7}  {plain:>10.0f}  {charged:>7.0f}  {charged / plain - 1:>4.0%}"
                )


if __name__ == "__main__":
    main()
