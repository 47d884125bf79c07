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


def read_screenshot(data: bytes) -> str:
    """Decode the QR code in a browser's screenshot: a PNG of 8 bits a colour."""
    return read_pixels(screenshot_rows(data))


def screenshot_rows(data: bytes) -> list[list[int]]:
    """Unpack a browser's screenshot to rows of the first of its colours."""
    at, header, packed = 8, b"", b""
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        header = content if kind == b"IHDR" else header
        packed += content if kind == b"IDAT" else b""
        at += size + 12
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    assert (depth, interlace) == (8, 0)
    samples = {0: 1, 2: 3, 6: 4}[colour]
    raw, stride = zlib.decompress(packed), width * samples + 1
    rows, above = [], bytearray(stride - 1)
    for y in range(height):
        above = _unfiltered(raw[y * stride], raw[y * stride + 1 : (y + 1) * stride], above, samples)
        rows.append(list(above[::samples]))
    return rows


def _unfiltered(kind: int, line: bytes, above: bytearray, samples: int) -> bytearray:
    """Undo a filter of PNG (RFC 2083, 6)."""
    done = bytearray(line)
    for at in range(len(done)):
        left = done[at - samples] if at >= samples else 0
        corner = above[at - samples] if at >= samples else 0
        up = above[at]
        guess = left + up - corner
        nearest = min((left, up, corner), key=lambda value: abs(guess - value))
        done[at] = (done[at] + (0, left, up, (left + up) // 2, nearest)[kind]) & 255
    return done
