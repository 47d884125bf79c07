"""The provinces under test: real nodes as processes, kept up as a service manager keeps them up.

Zhejiang and Shanghai are on SQLite, Jiangsu is on PostgreSQL with two workers. Each runs under the
library of ``shim.c`` and reaches the others through ``proxy.py``. Anhui is an identity only: its messages
are written by the load itself.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.clock import monotonic_s
from gateway.rpc.server import is_serving
from tests.chaos import shim
from tests.chaos.proxy import FAIR, Network
from tests.chaos.server import PostgresServer
from tests.ports import free_port
from tests.processes.provinces import ProcessNode, introduce, make_node

SQLITE = ("zhejiang", "shanghai")
POSTGRESQL = "jiangsu"
SERVING = (*SQLITE, POSTGRESQL)
IDENTITY = "anhui"
WORKERS = 2
ADDRESSES = {node_id: f"127.0.0.{10 + at}" for at, node_id in enumerate(SERVING)}
START_S = 120.0
RESTART_S = 0.3
"""How long after its end a process is started again, as ``RestartSec`` of a unit file."""


@dataclass
class Province:
    """One node with everything that can be done to it."""

    node: ProcessNode
    orders: shim.Orders
    library: Path
    workers: int = 0
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    ends: list[int] = field(default_factory=list)
    """Exit statuses of ends that nobody asked for."""
    is_held_down: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def node_id(self) -> str:
        return self.node.folder.root.name

    @property
    def data(self) -> Path:
        return self.node.folder.root / "data"

    def start(self) -> None:
        with self._lock:
            self._start()

    def start_unless_held_down(self) -> None:
        with self._lock:
            if not self.is_held_down:
                self._start()

    def _start(self) -> None:
        options = ["--workers", str(self.workers)] if self.workers else []
        command = [sys.executable, "-m", "gateway.cli.main", "serve", "--node", str(self.node.folder.root)]
        environment = os.environ | {
            "LD_PRELOAD": str(self.library),
            "CHAOS_ORDERS": str(self.orders.file),
            "CHAOS_DISK": f"{self.data.resolve()}/",
            "CHAOS_SOURCE": ADDRESSES[self.node_id],
        }
        with (self.node.folder.root / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self.starts += 1

    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def is_serving(self) -> bool:
        return self.is_up() and is_serving(self.node.config.listen.operator, timeout_s=2)

    def signal_all(self, number: signal.Signals) -> None:
        """Signal every process of the node at once."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def worker_pids(self) -> list[int]:
        """The processes below the supervisor; of a node without workers, its only one."""
        if self.process is None:
            return []
        if not self.workers:
            return [self.process.pid]
        with suppress(OSError):
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            return [int(pid) for pid in children.split()]
        return []

    def kill(self) -> None:
        """The machine loses its power: every process at once, and nobody starts it again for now."""
        with self._lock:
            self.is_held_down = True
            self.signal_all(signal.SIGKILL)
            if self.process is not None:
                self.process.wait()
            self.process = None

    def terminate(self) -> int:
        """Stop it in order; return the exit status."""
        with self._lock:
            self.is_held_down = True
            if self.process is None:
                return 0
            self.process.send_signal(signal.SIGTERM)
            status = self.process.wait(timeout=60)
            self.process = None
            return status

    def release(self) -> None:
        """Let the keeper start it again."""
        self.is_held_down = False


class Federation:
    """All provinces of a run, the network between them, the database server, and who keeps them up."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        folder.chmod(0o755)  # PostgreSQL may run as another user
        library = shim.build(folder)
        self.server = PostgresServer(folder / "postgresql")
        self.network = Network({address: name for name, address in ADDRESSES.items()}, seed)
        try:
            self._prepare(library)
        except BaseException:
            self.network.close()
            self.server.close()
            raise
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep_up, name="keeper", daemon=True)

    def _prepare(self, library: Path) -> None:
        self.server.create(POSTGRESQL)
        nodes = self._make_nodes()
        self.identity = nodes[IDENTITY]
        self.provinces = {
            node_id: Province(
                nodes[node_id],
                shim.Orders(self.folder / f"{node_id}.orders"),
                library,
                WORKERS if node_id == POSTGRESQL else 0,
            )
            for node_id in SERVING
        }

    def _make_nodes(self) -> dict[str, ProcessNode]:
        nodes: dict[str, ProcessNode] = {}
        first: ProcessNode | None = None
        for node_id in (*SERVING, IDENTITY):
            database = self.server.url(POSTGRESQL) if node_id == POSTGRESQL else ""
            node = make_node(
                self.folder, node_id, secret_from=first, database=database, records=node_id != IDENTITY
            )
            first = first or node
            self._place(node)
            nodes[node_id] = node
        introduce(*nodes.values())
        return nodes

    def _place(self, node: ProcessNode) -> None:
        """Put the node behind its proxy, let peers call as often as they like, and witness quickly."""
        node_id, config = node.node_id, node.folder.config.read_text(encoding="utf-8")
        front = free_port()
        config = re.sub(r"^endpoints = .*$", f'endpoints = ["127.0.0.1:{front}"]', config, flags=re.MULTILINE)
        config = re.sub(r"^\[audit\]$", "[audit]\ncosign_s = 2.0", config, flags=re.MULTILINE)
        config += "\n[limits]\ndrain_s = 5\n"
        node.folder.config.write_text(config, encoding="utf-8")
        self.network.place(node_id, front, node.config.listen.peers)
        with node.folder.access.open("a", encoding="utf-8") as access:
            for peer in (*SERVING, IDENTITY):
                if peer != node_id:
                    access.write(f'\n[[rate]]\npeer = "{peer}"\ncalls_per_second = 100000\n')

    def start(self) -> None:
        for province in self.provinces.values():
            province.start()
        end_s = monotonic_s() + START_S
        for province in self.provinces.values():
            while not province.is_serving():
                assert monotonic_s() < end_s, province.node.log_text
                assert province.is_up(), province.node.log_text
                self._over.wait(0.1)
        self._keeper.start()

    def _keep_up(self) -> None:
        """Start again whatever ended, as a service manager does; nothing else is done to a node."""
        while not self._over.wait(0.1):
            for province in self.provinces.values():
                if province.is_held_down or province.is_up():
                    continue
                process = province.process
                if process is not None:
                    province.ends.append(process.returncode)
                    self._over.wait(RESTART_S)
                if province.process is process and not self._over.is_set():
                    province.start_unless_held_down()

    def heal(self) -> None:
        """End whatever still goes wrong, also after a fault that failed half-way."""
        self.server.ensure_running()
        self.server.set_read_only("off")
        for province in self.provinces.values():
            province.orders.set_disk(shim.DISK_WELL)
            province.orders.set_clock(0)
            province.signal_all(signal.SIGCONT)
            province.release()
        for source in SERVING:
            for target in SERVING:
                self.network.set_weather(source, target, FAIR)

    def close(self) -> None:
        self._over.set()
        if self._keeper.is_alive():
            self._keeper.join(30)
        for province in self.provinces.values():
            province.signal_all(signal.SIGCONT)
            province.kill()
            province.orders.close()
        self.identity.close()
        self.network.close()
        self.server.close()
