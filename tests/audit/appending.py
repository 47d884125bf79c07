"""A process that appends until it is killed, and says on standard output what it has released."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from gateway.audit import leaf_hash, rebuild_leaf
from gateway.clock import system_clock
from tests.audit.drafts import answered, evidence, open_log, seen, sqlite_at

THREADS = 6


def main(path: Path) -> None:
    log = open_log(sqlite_at(path), system_clock)
    mutex = threading.Lock()

    def work() -> None:
        while True:
            draft, guard = answered(), seen()
            receipt = log.append(draft, seen=guard, evidence=evidence()).receipt
            hashed = leaf_hash(rebuild_leaf(draft, receipt.logged_at_ms))
            with mutex:
                sys.stdout.write(f"{receipt.leaf_index} {hashed.hex()} {guard.message_id.hex()}\n")
                sys.stdout.flush()

    for _ in range(THREADS):
        threading.Thread(target=work).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
