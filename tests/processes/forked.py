"""Commands as processes of their own, forked from one that has read the program's modules already.

Reading them takes longer than most commands do, and the stories run hundreds. What is forked has its own
arguments, folder, input and output, and ends with its own status; only its command line in /proc is the
parent's. Where that matters a test starts ``python -m gateway.cli.main`` instead.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from gateway.cli.command_table import PLACES

MESSAGE_BYTES_MAX = 64 * 1024


@dataclass
class Forked:
    """A running command; what :class:`subprocess.Popen` has, as far as tests need it."""

    pid: int
    connection: socket.socket
    returncode: int | None = None

    def poll(self) -> int | None:
        """Return the status, or ``None`` while it runs."""
        return self._receive(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the status. Raises ``subprocess.TimeoutExpired``."""
        status = self._receive(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _receive(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self.connection.settimeout(timeout)
            try:
                answer = self.connection.recv(MESSAGE_BYTES_MAX)
            except (TimeoutError, BlockingIOError):
                return None
            self.connection.close()
            assert answer, "the parent of all commands has died"
            self.returncode = int(answer)
        return self.returncode


def spawn(arguments: list[str], stdin: int, stdout: int, stderr: int, cwd: Path | None = None) -> Forked:
    """Start ``credit-gateway`` with ``arguments``; the numbers are open files for its input and output."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(_address())
    order = {"arguments": arguments, "cwd": str(cwd or Path.cwd()), "environment": dict(os.environ)}
    socket.send_fds(connection, [json.dumps(order).encode()], [stdin, stdout, stderr])
    return Forked(int(connection.recv(MESSAGE_BYTES_MAX)), connection)


def run(
    arguments: list[str], *, cwd: Path | None = None, typed: str = "", timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run ``credit-gateway`` with ``arguments`` to its end."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(typed.encode())
        given.seek(0)
        process = spawn(arguments, given.fileno(), out.fileno(), err.fileno(), cwd)
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, status, out.read().decode(), err.read().decode())


@cache
def _address() -> str:
    """Where the parent of all commands listens; it is started for the first of them, and ends with us."""
    ours, theirs = socket.socketpair()
    # Not with -m: help would name the module as the program.
    command = [sys.executable, "-c", f"from {__name__} import serve; serve({theirs.fileno()})"]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()
    address = ours.recv(200).decode()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return address


class Parent:
    """Forks a process for each order, and tells each client how its process ended."""

    def __init__(self, owner: socket.socket) -> None:
        self._owner = owner
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # An abstract address: nothing is left in the file system.
        address = f"\0credit-gateway-tests-{os.getpid()}"
        self._listener.bind(address)
        self._listener.listen(64)
        importlib.import_module("gateway.cli.main")
        for place in PLACES.values():
            importlib.import_module(f"gateway.cli.{place.partition(':')[0]}")
        self._selector.register(owner, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        owner.send(address.encode())

    def serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._owner:
                    return
                if key.fileobj is self._listener:
                    self._fork()
                else:
                    self._reap(key.fd, *key.data)

    def _fork(self) -> None:
        connection, _ = self._listener.accept()
        text, files, _, _ = socket.recv_fds(connection, MESSAGE_BYTES_MAX, 3)
        pid = os.fork()
        if pid == 0:
            self._listener.close()
            self._owner.close()
            connection.close()
            run_as_child(json.loads(text), files)
        for file in files:
            os.close(file)
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))
        connection.send(str(pid).encode())

    def _reap(self, pidfd: int, pid: int, connection: socket.socket) -> None:
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        with suppress(OSError):  # whoever started it may have stopped asking
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        connection.close()


def run_as_child(order: dict[str, Any], files: list[int]) -> None:
    """Become the command; never returns."""
    status = 70
    try:
        for target, file in enumerate(files):
            os.dup2(file, target)
        os.closerange(3, 256)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["cwd"])
        sys.argv = ["credit-gateway", *order["arguments"]]
        from gateway.cli.main import run as command

        command()
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def serve(owner: int) -> None:
    """Be the parent of all commands until ``owner``, an open socket's number, is closed at its other end."""
    Parent(socket.socket(fileno=owner)).serve()
