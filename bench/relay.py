"""A distance between two nodes on one machine: a TCP relay that hands on every byte some time later.

Usage: python -m bench.relay LISTEN TARGET ONE_WAY_MS
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress

CHUNK_BYTES = 64 * 1024


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, one_way_s: float) -> None:
    """Hand on what arrives ``one_way_s`` later, in order; what is under way does not hold up the rest."""
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while chunk := await reader.read(CHUNK_BYTES):
            loop.call_later(one_way_s, _write_to(writer), chunk)
    loop.call_later(one_way_s, writer.close)


def _write_to(writer: asyncio.StreamWriter) -> Callable[[bytes], None]:
    def write(chunk: bytes) -> None:
        if not writer.is_closing():
            writer.write(chunk)

    return write


async def _serve(listen: str, target: str, one_way_s: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = target.rsplit(":", 1)
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(_carry(reader, far_writer, one_way_s), _carry(far_reader, writer, one_way_s))

    host, port = listen.rsplit(":", 1)
    server = await asyncio.start_server(connected, host, int(port))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000))
