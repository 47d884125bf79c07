"""A server as a process of its own, on a core of its own, and the CPU time that it used."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

START_S = 60.0
STOP_S = 20.0
_CPUCLOCK_SCHED = 2


ALL_CORES = frozenset(os.sched_getaffinity(0))
"""What this process may use as it starts; it keeps itself to some of them later."""


def cores() -> tuple[set[int], set[int]]:
    """Return the cores for servers and those for clients; the same ones on a machine with one."""
    server = max(ALL_CORES)
    return {server}, set(ALL_CORES - {server}) or {server}


@contextmanager
def on_client_cores() -> Iterator[None]:
    """Keep this process off the servers' core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores()[1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_s_of(pid: int) -> float:
    """Return the CPU time that all threads of a process used so far, seconds (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def tree_of(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                found += tree_of(int(child))
    return found


def rss_mib(pid: int) -> float:
    """Return what a process holds in memory now, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no VmRSS of {pid}")


class Pinned:
    """A running server, with the processes that it started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    @property
    def pids(self) -> list[int]:
        """The server's process and all that descend from it."""
        return tree_of(self.process.pid)

    def cpu_s(self) -> float:
        """Return the CPU time that all its processes used so far, seconds."""
        return sum(cpu_s_of(pid) for pid in self.pids)


@contextmanager
def pinned(
    command: Sequence[str], address: str, packages: Path | None = None, core: set[int] | None = None
) -> Iterator[Pinned]:
    """Run ``python`` with ``command`` on the servers' core until the block ends; wait until it listens."""
    environment = os.environ | ({"PYTHONPATH": f"{packages}:{Path.cwd()}"} if packages is not None else {})
    where = core if core is not None else cores()[0]
    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed below; a real log is written, as in service
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.DEVNULL,
        stderr=log,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, where),  # noqa: PLW1509 - no thread runs yet
    )
    try:
        if not _is_listening(address, process):
            log.seek(0)
            raise RuntimeError(f"{process.args!r} does not listen: {log.read()[-2_000:].decode()}")
        yield Pinned(process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            for pid in tree_of(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait()
        log.close()


def free_address() -> str:
    """Return a loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _is_listening(address: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the process listens; ``False`` when it ended or does not within ``START_S``."""
    host, port = address.rsplit(":", 1)
    ends_at = time.monotonic() + START_S
    while time.monotonic() < ends_at and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, int(port))) == 0:
                return True
        time.sleep(0.05)
    return False
