"""A server as a process of its own, on a core of its own, and the CPU time that it used."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

START_S = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[set[int], set[int]]:
    """Return the cores for servers and those for clients; the same ones on a machine with one."""
    usable = sorted(os.sched_getaffinity(0))
    return {usable[-1]}, set(usable[:-1]) or {usable[-1]}


class Pinned:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def cpu_s(self) -> float:
        """Return the CPU time that all its threads used so far, seconds (proc(5), stat)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def pinned(command: Sequence[str], address: str, packages: Path | None = None) -> Iterator[Pinned]:
    """Run ``python`` with ``command`` on the servers' core until the block ends; wait until it listens."""
    environment = os.environ | ({"PYTHONPATH": f"{packages}:{Path.cwd()}"} if packages is not None else {})
    core, _ = cores()
    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed below; a real log is written, as in service
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.DEVNULL,
        stderr=log,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, core),  # noqa: PLW1509 - no thread runs yet
    )
    try:
        _await_listening(address, process)
        yield Pinned(process)
    finally:
        process.terminate()
        process.wait()
        log.close()


def free_address() -> str:
    """Return a loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _await_listening(address: str, process: subprocess.Popen[bytes]) -> None:
    host, port = address.rsplit(":", 1)
    ends_at = time.monotonic() + START_S
    while time.monotonic() < ends_at and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen")
