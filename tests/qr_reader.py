"""Reads QR codes as a phone would: with a library that did not draw them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import zxingcpp

SCALE = 6
_BLOCKS = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}


def read_image(path: Path) -> str:
    """Decode the QR code in a greyscale or one-bit PNG file."""
    return read_pixels(png_pixels(path.read_bytes()))


def read_terminal(text: str) -> str:
    """Decode the QR code that was drawn on a terminal in half blocks; light blocks are light modules."""
    rows: list[list[int]] = []
    for line in text.splitlines():
        if not line or not set(line) <= set(_BLOCKS):
            continue
        halves = [_BLOCKS[character] for character in line]
        rows += [[255 * half[at] for half in halves] for at in (0, 1)]
    width = max(map(len, rows))
    squares = [row + [255] * (width - len(row)) for row in rows]
    return read_pixels([[v for v in row for _ in range(SCALE)] for row in squares for _ in range(SCALE)])


def read_pixels(rows: list[list[int]]) -> str:
    """Decode one QR code out of rows of grey values."""
    flat = memoryview(bytes(value for row in rows for value in row))
    image = flat.cast("B", (len(rows), len(rows[0])))
    (found,) = zxingcpp.read_barcodes(image)
    assert found.format == zxingcpp.BarcodeFormat.QRCode
    return found.text


def png_pixels(data: bytes) -> list[list[int]]:
    """Unpack a one-bit greyscale PNG without interlacing: what the tests meet, and nothing else."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, header, packed = 8, b"", b""
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        header = content if kind == b"IHDR" else header
        packed += content if kind == b"IDAT" else b""
        at += size + 12
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    assert (depth, colour, interlace) == (1, 0, 0)
    raw, stride = zlib.decompress(packed), (width + 7) // 8 + 1
    lines, above = [], bytes(stride)
    for y in range(height):
        line = raw[y * stride : (y + 1) * stride]
        assert line[0] in (0, 2)  # no filter, or the difference to the line above
        above = bytes(b + (a if line[0] else 0) & 255 for a, b in zip(above, line, strict=True))
        lines.append(above)
    return [[255 * (line[1 + x // 8] >> (7 - x % 8) & 1) for x in range(width)] for line in lines]
