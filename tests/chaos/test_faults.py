"""The faults are real to the program that meets them, and end."""

from __future__ import annotations

import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos import shim
from tests.chaos.proxy import FAIR, Network, Weather
from tests.ports import free_port

SCRIPT = """
import socket, sqlite3, sys, time
disk, beside, port = sys.argv[1:]
for line in sys.stdin:
    if line == "write\\n":
        told = []
        for file in (disk, beside):
            try:
                with sqlite3.connect(file) as database:
                    database.execute("PRAGMA synchronous=FULL")
                    database.execute("CREATE TABLE IF NOT EXISTS t (x)")
                    database.execute("INSERT INTO t VALUES (zeroblob(20000))")
                told.append("written")
            except sqlite3.OperationalError as error:
                told.append(str(error))
            database.close()
        print(*told, sep=", ", flush=True)
    elif line == "clock\\n":
        print(time.time(), time.monotonic(), flush=True)
    else:
        with socket.create_connection(("127.0.0.1", int(port))) as connection:
            print(connection.getsockname()[0], flush=True)
"""


class Program:
    """A program that writes, looks at the clock and connects, under the library."""

    def __init__(self, folder: Path, port: int) -> None:
        self.orders = shim.Orders(folder / "orders")
        disk = folder / "data"
        disk.mkdir()
        environment = os.environ | {
            "LD_PRELOAD": str(shim.build(folder)),
            "CHAOS_ORDERS": str(self.orders.file),
            "CHAOS_DISK": f"{disk}/",
            "CHAOS_SOURCE": "127.0.0.77",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(disk / "a.db"), str(folder / "b.db"), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def told(self, what: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.communicate(timeout=10)
        self.orders.close()


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(ConnectionError):
            while piece := self.request.recv(1024):
                self.request.sendall(piece)


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says what it hears."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def program(tmp_path: Path, echo: int) -> Iterator[Program]:
    made = Program(tmp_path, echo)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (shim.DISK_FULL, "database or disk is full"),
        (shim.DISK_FULL_TORN, "database or disk is full"),
        (shim.DISK_READ_ONLY, "disk I/O error"),
        (shim.SYNC_ERROR, "disk I/O error"),
    ],
)
def test_a_disk_fails_below_one_folder_and_works_again(
    program: Program, fault: shim.DiskFault, told: str
) -> None:
    assert program.told("write") == "written, written"
    program.orders.set_disk(fault)
    assert program.told("write") == f"{told}, written"
    program.orders.set_disk(shim.DISK_WELL)
    assert program.told("write") == "written, written"


def test_a_clock_is_moved_and_the_steady_one_is_not(program: Program) -> None:
    before, steady_before = map(float, program.told("clock").split())
    program.orders.set_clock(-3600.5)
    moved, steady = map(float, program.told("clock").split())
    assert moved - before + 3600.5 == pytest.approx(steady - steady_before, abs=0.5)


def test_a_connection_begins_at_the_nodes_own_address(program: Program) -> None:
    assert program.told("connect") == "127.0.0.77"


@pytest.fixture
def network(echo: int) -> Iterator[tuple[Network, int]]:
    made, front = Network({"127.0.0.77": "zhejiang", "127.0.0.78": "jiangsu"}, 1), free_port()
    made.place("shanghai", front, f"127.0.0.1:{echo}")
    yield made, front
    made.close()


def connect(source: str, port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(source, 0))


def test_a_split_concerns_one_link_and_its_living_connections(network: tuple[Network, int]) -> None:
    proxies, front = network
    with connect("127.0.0.77", front) as cut, connect("127.0.0.78", front) as spared:
        for connection in (cut, spared):
            connection.sendall(b"a")
            assert connection.recv(1) == b"a"
        proxies.set_weather("zhejiang", "shanghai", Weather(is_cut=True))
        with pytest.raises(ConnectionResetError):
            cut.recv(1)
        spared.sendall(b"b")
        assert spared.recv(1) == b"b"
    proxies.set_weather("zhejiang", "shanghai", FAIR)
    with connect("127.0.0.77", front) as again:
        again.sendall(b"c")
        assert again.recv(1) == b"c"


def test_a_silent_link_loses_nothing(network: tuple[Network, int]) -> None:
    proxies, front = network
    with connect("127.0.0.77", front) as connection:
        proxies.set_weather("zhejiang", "shanghai", Weather(is_silent=True))
        connection.sendall(b"held back")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        proxies.set_weather("zhejiang", "shanghai", FAIR)
        connection.settimeout(5)
        assert connection.recv(9) == b"held back"


def test_bits_are_flipped(network: tuple[Network, int]) -> None:
    proxies, front = network
    with connect("127.0.0.77", front) as connection:
        proxies.set_weather("zhejiang", "shanghai", Weather(flip_share=1))
        connection.sendall(b"\x00")
        assert connection.recv(1) != b""
