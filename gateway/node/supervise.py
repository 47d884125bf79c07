"""Several worker processes serve one node together: started, watched, started again, drained.

Each worker is a whole node (``node/worker.py``) on the same ports; the kernel spreads connections over
them (SO_REUSEPORT), and PostgreSQL holds what they share. The supervisor keeps the node's lock, shows
one metrics page for all, and passes signals on. It never imports grpc, which must not live through
a fork, and it serves no calls, so there is little in it that could fail.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import start_http_server

from gateway.clock import monotonic_s
from gateway.errors import AlreadyRunningError, ConfigError, GatewayError
from gateway.node.config import NodeConfig, load_config
from gateway.node.folder import NodeFolder
from gateway.node.lock import RunningNode, announce, node_lock, withdraw
from gateway.telemetry.events import configure, logger
from gateway.telemetry.gathering import SupervisorMetrics

WORKERS_MAX = 64
FIRST_DELAY_S = 0.5
"""Before a worker that ended is started again; doubled each time, seconds."""
DELAY_S_MAX = 30.0
SETTLED_S = 60.0
"""A worker that lived as long as this has its next failure counted as the first, seconds."""
KILL_S = 15.0
"""How much longer than ``limits.drain_s`` a worker may take to end, seconds; then it is killed."""
EXIT_WRONG = 2

_log = logger("supervise")


@dataclass
class Slot:
    """One worker's place."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    line: socket.socket | None = None
    """The other end is the worker's: it says its metrics port, and each notices when the other has gone."""
    metrics_port: int = 0
    """0 until the worker serves."""
    started_s: float = 0.0
    failures: int = 0
    due_s: float = 0.0
    """When it is to be started again."""


@dataclass
class Supervisor:
    """The workers of one node, while its lock (``lock``, a file descriptor) is held."""

    folder: NodeFolder
    config: NodeConfig
    workers: int
    lock: int
    slots: list[Slot] = field(init=False)

    def __post_init__(self) -> None:
        """Make a place for each worker."""
        self.slots = [Slot(number) for number in range(self.workers)]
        self.metrics = SupervisorMetrics(self.ports, self.workers)
        self._has_served = False

    def ports(self) -> Mapping[int, int]:
        """Return the metrics port of each slot whose worker serves now."""
        return {slot.number: slot.metrics_port for slot in self.slots if slot.metrics_port}

    def run(self, arrived: socket.socket) -> int:
        """Keep the workers up until a signal ends them all; return the exit status."""
        try:
            while True:
                self._start_due()
                lines = {slot.line: slot for slot in self.slots if slot.line is not None}
                ready, _, _ = select.select([arrived, *lines], [], [], self._wait_s())
                for line in ready:
                    if line is not arrived and not self._hear(lines[line]):
                        return EXIT_WRONG
                if arrived in ready:
                    numbers = set(arrived.recv(1024))
                    if numbers & {signal.SIGTERM, signal.SIGINT}:
                        return 0
                    if signal.SIGHUP in numbers:
                        self._signal(signal.SIGHUP)
        finally:
            self._end_all()

    def _start_due(self) -> None:
        for slot in self.slots:
            if slot.process is None and slot.due_s <= monotonic_s():
                self._start(slot)

    def _wait_s(self) -> float | None:
        due = [slot.due_s for slot in self.slots if slot.process is None]
        return max(0.0, min(due) - monotonic_s()) if due else None

    def _start(self, slot: Slot) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            slot.process = subprocess.Popen(  # noqa: S603 - this program itself
                [
                    *(sys.executable, "-P", "-m", "gateway.node.worker"),
                    *("--node", str(self.folder.root), "--slot", str(slot.number)),
                    *("--supervisor", str(theirs.fileno())),
                ],
                # With the lock's descriptor: nobody else serves the node while a worker still drains.
                pass_fds=(theirs.fileno(), self.lock),
            )
        slot.line, slot.started_s, slot.metrics_port = ours, monotonic_s(), 0
        _log.info("worker started", worker=slot.number, pid=slot.process.pid)

    def _hear(self, slot: Slot) -> bool:
        """A worker says that it serves, or has ended; returns whether to go on."""
        assert slot.line is not None
        assert slot.process is not None
        try:
            said = slot.line.recv(64)
        except ConnectionError:
            said = b""
        if said:
            slot.metrics_port = int(said)
            self._has_served = True
            _log.info("worker serves", worker=slot.number, pid=slot.process.pid)
            return True
        status = slot.process.wait()
        slot.line.close()
        slot.process, slot.line, slot.metrics_port = None, None, 0
        if status == EXIT_WRONG and not self._has_served:
            return False  # it has said what is wrong with the set-up
        lived_s = monotonic_s() - slot.started_s
        slot.failures = 1 if lived_s >= SETTLED_S else slot.failures + 1
        delay_s = min(DELAY_S_MAX, FIRST_DELAY_S * 2 ** (slot.failures - 1))
        slot.due_s = monotonic_s() + delay_s
        self.metrics.restarts.labels(str(slot.number)).inc()
        _log.error("worker ended by itself", worker=slot.number, status=status, again_in_s=delay_s)
        return True

    def _signal(self, number: signal.Signals) -> None:
        for slot in self.slots:
            if slot.process is not None:
                slot.process.send_signal(number)

    def _end_all(self) -> None:
        """Let every worker drain; kill what has not ended long after it should have."""
        self._signal(signal.SIGTERM)
        end_s = monotonic_s() + self.config.limits.drain_s + KILL_S
        for slot in self.slots:
            if slot.process is None:
                continue
            try:
                slot.process.wait(max(0.1, end_s - monotonic_s()))
            except subprocess.TimeoutExpired:
                _log.error("worker did not end and is killed", worker=slot.number)
                slot.process.kill()
                slot.process.wait()
            slot.metrics_port = 0


def supervise(folder: NodeFolder, workers: int) -> int:
    """Serve the node of ``folder`` with ``workers`` processes until SIGTERM or SIGINT.

    Raises:
        OperatorError: the node cannot start; the text says why.
    """
    config = load_config(folder.root)
    require_shareable(config)
    configure(config.log.level)
    with node_lock(folder) as lock, _signals() as arrived:
        _require_free(config.listen.peers)
        _require_free(config.listen.operator)
        supervisor = Supervisor(folder, config, workers, lock)
        with _metrics_page(config.listen.metrics, supervisor):
            listen = config.listen
            announce(folder, RunningNode(os.getpid(), listen.peers, listen.operator, listen.metrics))
            try:
                return supervisor.run(arrived)
            finally:
                withdraw(folder)


def require_shareable(config: NodeConfig) -> None:
    """Return if several processes may serve the node.

    Raises:
        ConfigError: its databases have one writer, or it listens on a port that is not known beforehand.
    """
    for name, url in (("url", config.database.url), ("records_url", config.database.records_url)):
        if url.startswith("sqlite:"):
            raise ConfigError(
                f"[database] {name} is SQLite, which one process at a time can write: "
                "it cannot be served with more than one worker.",
                remedy="Serve with --workers 1, or move the node to PostgreSQL with "
                "`credit-gateway storage migrate` (docs/scaling.md).",
            )
    for name, address in (("peers", config.listen.peers), ("operator", config.listen.operator)):
        if address.endswith(":0"):
            raise ConfigError(f"[listen] {name} has port 0.", remedy="Workers share a port: name it.")


def _require_free(address: str) -> None:
    """Refuse a port that is taken: with SO_REUSEPORT a second server would get half of the calls."""
    host, port = address.rsplit(":", 1)
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        with socket.socket(found[0][0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[0][4])
            probe.listen(1)
    except OSError as error:
        raise AlreadyRunningError(
            f"the address {address} cannot be listened on.",
            remedy="Another program has the port, or the address is not this machine's. "
            "Stop it, or change [listen] in node.toml.",
        ) from error


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Yield a socket on which the numbers of arriving signals can be read, as in ``node/serve.py``."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _signal, _frame: None)
    with closing(reader), closing(writer):
        yield reader


@contextmanager
def _metrics_page(address: str, supervisor: Supervisor) -> Iterator[None]:
    host, port = address.rsplit(":", 1)
    try:
        web, thread = start_http_server(
            int(port), addr=host.strip("[]"), registry=supervisor.metrics.registry
        )
    except OSError as error:
        raise AlreadyRunningError(
            f"the metrics address {address} cannot be listened on.",
            remedy="Another program has the port. Stop it, or change listen.metrics in node.toml.",
        ) from error
    try:
        yield
    finally:
        threading.Thread(target=web.shutdown).start()
        thread.join(timeout=5)
        web.server_close()


def main() -> None:
    """Serve a node with several workers; `credit-gateway serve --workers N` becomes this process."""
    options = argparse.ArgumentParser(prog="credit-gateway serve")
    options.add_argument("--node", type=Path, required=True)
    options.add_argument("--workers", type=int, required=True)
    given = options.parse_args()
    try:
        sys.exit(supervise(NodeFolder(given.node), given.workers))
    except GatewayError as error:
        sys.stderr.write(f"credit-gateway: {error}\n")
        sys.exit(EXIT_WRONG)


if __name__ == "__main__":
    main()
