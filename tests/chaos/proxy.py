"""The network between the provinces: a TCP proxy before each node, which knows who connects.

Each direction of a link between two nodes can be slow, silent, cut or damaged, and changes while
connections live. TCP itself never loses or reorders bytes within a connection; what a lossy network does
to it, to the eyes of a program, is time: so loss is stalls, and reordering is that messages on different
connections overtake each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
READ_BYTES = 64 * 1024


@dataclass(frozen=True)
class Weather:
    """What happens to the bytes of one link."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Up to how much later, drawn for each piece and connection anew: messages overtake each other."""
    bytes_per_s: float = 0.0
    """0 = as fast as it comes."""
    is_silent: bool = False
    """Bytes are held back as long as this lasts; connections stay open and new ones are accepted."""
    is_cut: bool = False
    """Connections are reset, new ones too."""
    stall_share: float = 0.0
    """How many pieces are held up for a second, as if they had been lost and sent again."""
    flip_share: float = 0.0
    """In how many pieces one bit is flipped."""


FAIR = Weather()


@dataclass(eq=False)
class _Connection:
    source: str
    target: str
    writers: tuple[asyncio.StreamWriter, ...] = ()

    def reset(self) -> None:
        for writer in self.writers:
            with contextlib.suppress(OSError):
                opened = writer.get_extra_info("socket")
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


@dataclass
class Network:
    """All proxies, in a thread of their own. ``address_of`` names who connects from a loopback address."""

    names: dict[str, str]
    """Who connects, by source address."""
    seed: int
    _weather: dict[tuple[str, str], Weather] = field(default_factory=dict)
    _connections: set[_Connection] = field(default_factory=set)
    _servers: list[asyncio.Server] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def place(self, target: str, port: int, behind: str) -> None:
        """Listen on ``port`` for the node ``target``, which itself listens at ``behind``."""
        host, target_port = behind.rsplit(":", 1)

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._carry(target, (host, int(target_port)), reader, writer)

        async def listen() -> None:
            self._servers.append(await asyncio.start_server(accept, "127.0.0.1", port))

        asyncio.run_coroutine_threadsafe(listen(), self._loop).result(10)

    def set_weather(self, source: str, target: str, weather: Weather) -> None:
        """Change one link, in both directions of its connections (those that ``source`` opens)."""

        def change() -> None:
            self._weather[source, target] = weather
            if weather.is_cut:
                for connection in list(self._connections):
                    if (connection.source, connection.target) == (source, target):
                        connection.reset()
            self._changed.set()
            self._changed = asyncio.Event()

        self._in_loop(change)

    def reset(self, source: str, target: str) -> None:
        """End the connections of a link once, as a firewall that forgot them does."""

        def end() -> None:
            for connection in list(self._connections):
                if (connection.source, connection.target) == (source, target):
                    connection.reset()

        self._in_loop(end)

    def close(self) -> None:
        def end() -> None:
            for server in self._servers:
                server.close()
            for connection in list(self._connections):
                connection.reset()
            for task in asyncio.all_tasks(self._loop) - {asyncio.current_task()}:
                task.cancel()

        self._in_loop(end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _in_loop(self, call: Callable[[], T]) -> T:
        async def run() -> T:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _weather_of(self, connection: _Connection) -> Weather:
        return self._weather.get((connection.source, connection.target), FAIR)

    async def _carry(
        self,
        target: str,
        behind: tuple[str, int],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        source = self.names.get(writer.get_extra_info("peername")[0], "")
        connection = _Connection(source, target, (writer,))
        self._connections.add(connection)
        try:
            if self._weather_of(connection).is_cut:
                return
            there_reader, there_writer = await asyncio.open_connection(*behind)
            connection.writers = (writer, there_writer)
            ways = [
                asyncio.ensure_future(self._pump(connection, reader, there_writer)),
                asyncio.ensure_future(self._pump(connection, there_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            connection.reset()
            self._connections.discard(connection)

    async def _pump(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(READ_BYTES):
                writer.write(await self._weathered(connection, piece))
                await writer.drain()

    async def _weathered(self, connection: _Connection, piece: bytes) -> bytes:
        """Return ``piece`` after what the weather does to it."""
        weather = self._weather_of(connection)
        wait_s = weather.delay_s + weather.jitter_s * self._random.random()
        if weather.bytes_per_s:
            wait_s += len(piece) / weather.bytes_per_s
        if weather.stall_share and self._random.random() < weather.stall_share:
            wait_s += 1.0
        if wait_s:
            await asyncio.sleep(wait_s)
        while self._weather_of(connection).is_silent:
            await self._changed.wait()
        if weather.flip_share and self._random.random() < weather.flip_share:
            at = self._random.randrange(len(piece))
            piece = piece[:at] + bytes([piece[at] ^ 1 << self._random.randrange(8)]) + piece[at + 1 :]
        return piece
