"""One worker of a node that several processes serve; started by ``node/supervise.py`` and by nobody else.

What it listens on is shared with the other workers (SO_REUSEPORT), except its metrics, of which the
supervisor is told the port. When the supervisor has gone, however it went, the worker drains and ends.
"""

from __future__ import annotations

import argparse
import socket
import sys
import traceback
from pathlib import Path

from gateway.clock import system_clock
from gateway.errors import GatewayError
from gateway.node.folder import NodeFolder
from gateway.node.heap import keep_heap_together
from gateway.node.lock import read_token
from gateway.node.private_memory import keep_memory_private
from gateway.node.serve import Worker, obey, signals, start
from gateway.telemetry.events import name_worker

EXIT_WRONG = 2
"""The set-up is broken, as everywhere on the command line."""
EXIT_DEFECT = 70
"""A defect of this program (EX_SOFTWARE)."""


def main() -> None:
    """Serve until the supervisor says so, or goes."""
    options = argparse.ArgumentParser()
    options.add_argument("--node", type=Path, required=True)
    options.add_argument("--slot", type=int, required=True)
    options.add_argument("--supervisor", type=int, required=True, help="file descriptor of a socket")
    given = options.parse_args()
    keep_memory_private()
    keep_heap_together()
    name_worker(given.slot)
    folder = NodeFolder(given.node)
    with socket.socket(fileno=given.supervisor) as supervisor, signals() as arrived:
        try:
            serving = start(folder, system_clock, Worker(given.slot, read_token(folder)))
        except GatewayError as error:
            sys.stderr.write(f"credit-gateway: {error}\n")
            sys.exit(EXIT_WRONG)
        except Exception as defect:  # noqa: BLE001 - the supervisor tries again; nobody reads a traceback
            places = traceback.extract_tb(defect.__traceback__)
            where = f"{Path(places[-1].filename).name}:{places[-1].lineno}"
            sys.stderr.write(
                f"credit-gateway: a defect of this program ({type(defect).__name__} at {where}).\n"
            )
            sys.exit(EXIT_DEFECT)
        try:
            supervisor.sendall(f"{serving.metrics_port}\n".encode())
            obey(serving, arrived, supervisor)
        finally:
            serving.stop()


if __name__ == "__main__":
    main()
