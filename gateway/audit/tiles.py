"""The log as tiles (C2SP tlog-tiles v0.1.0): which files a log of a given size has, and what is in them.

A tile holds up to 256 hashes of complete subtrees of one level; tiles of level L hold those of tree
level 8 L. Entry bundles hold the leaves. Full ones never change, partial ones are prefixes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.audit.merkle import HASH_BYTES
from gateway.errors import GatewayError
from gateway.storage import audit_rows
from gateway.storage.node_tables import Transaction

TILE_HASHES = 256
LEVEL_STEP = 8
"""Tree levels from one tile level to the next."""
ENTRIES = "entries"

_PATH = re.compile(r"tile/(entries|[0-9]|[1-5][0-9])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class TileError(GatewayError):
    """There is no such tile, or it is not what it should be."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One file: tile ``index`` of ``level`` (or of the entries), ``width`` hashes or leaves wide."""

    level: int | None
    """``None`` for an entry bundle."""
    index: int
    width: int

    @property
    def path(self) -> str:
        """Where it is published: ``tile/<L>/<N>[.p/<W>]``."""
        digits = f"{self.index:03d}"
        padded = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [padded[at : at + 3] for at in range(0, len(padded), 3)]
        number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        level = ENTRIES if self.level is None else str(self.level)
        return f"tile/{level}/{number}" + ("" if self.width == TILE_HASHES else f".p/{self.width}")


def parse_path(path: str) -> Tile:
    """Read a tile's path, of which there is exactly one form.

    Raises:
        TileError: it is none.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        raise TileError("there is no such tile.")
    level = None if found.group(1) == ENTRIES else int(found.group(1))
    index = int(found.group(2).replace("x", "").replace("/", ""))
    tile = Tile(level, index, int(found.group(3) or TILE_HASHES))
    if tile.path != path:
        raise TileError("there is no such tile.")
    return tile


def tiles_of(size: int) -> Iterator[Tile]:
    """Yield every tile of a log of ``size`` entries: entry bundles, then tiles from level 0 up."""
    yield from _tiles_of_level(None, size)
    level, hashes = 0, size
    while hashes:
        yield from _tiles_of_level(level, hashes)
        level, hashes = level + 1, hashes >> LEVEL_STEP


def bundle(leaves: list[bytes]) -> bytes:
    """Return an entry bundle: each leaf after its length as two bytes, big-endian."""
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def unbundle(content: bytes) -> list[bytes]:
    """Read an entry bundle.

    Raises:
        TileError: its lengths do not fit it.
    """
    leaves, at = [], 0
    while at < len(content):
        end = at + 2 + int.from_bytes(content[at : at + 2], "big")
        if at + 2 > len(content) or end > len(content):
            raise TileError("an entry bundle is cut short.")
        leaves.append(content[at + 2 : end])
        at = end
    return leaves


class StoredTiles:
    """The tiles of the first ``size`` entries of a stored log."""

    def __init__(self, transaction: Transaction, size: int) -> None:
        self._transaction = transaction
        self.size = size

    def read(self, path: str) -> bytes:
        """Return the content of the file at ``path``. Raises ``TileError`` when there is none."""
        return self.content(parse_path(path))

    def content(self, tile: Tile) -> bytes:
        """Return a tile's content; a narrower one than the log has is a prefix.

        Raises:
            TileError: the log has no such tile.
        """
        start, end = tile.index * TILE_HASHES, tile.index * TILE_HASHES + tile.width
        level = 0 if tile.level is None else LEVEL_STEP * tile.level
        if end > self.size >> level:
            raise TileError("there is no such tile.")
        if level == 0:
            rows = list(audit_rows.stream_entries(self._transaction, start, end))
            if len(rows) != tile.width:
                raise TileError("an entry of the log is missing.")
            if tile.level is None:
                return bundle([bytes(row[1]) for row in rows])
            return b"".join(bytes(row[2]) for row in rows)
        return b"".join(self._hash(level, index) for index in range(start, end))

    def _hash(self, level: int, index: int) -> bytes:
        found = audit_rows.read_hash(self._transaction, level, index)
        if found is None or len(found) != HASH_BYTES:
            raise TileError("a node of the tree is missing.")
        return found


def _tiles_of_level(level: int | None, hashes: int) -> Iterator[Tile]:
    for index in range(hashes // TILE_HASHES):
        yield Tile(level, index, TILE_HASHES)
    if hashes % TILE_HASHES:
        yield Tile(level, hashes // TILE_HASHES, hashes % TILE_HASHES)
