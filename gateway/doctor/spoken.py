"""What an endpoint speaks that does not speak TLS."""

from __future__ import annotations

from gateway.doctor.network import CONNECT_S_MAX, Place

REPLY_S_MAX = 2.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\x00" + bytes(4)
"""How an HTTP/2 client begins: the preface and an empty SETTINGS frame (RFC 9113, 3.4)."""
_FRAME_HEADER_BYTES = 9
_SETTINGS = 4


def is_settings(heard: bytes) -> bool:
    """Whether ``heard`` begins with a SETTINGS frame, as everything does that an HTTP/2 server says."""
    return len(heard) >= _FRAME_HEADER_BYTES and heard[0] == 0 and heard[3] == _SETTINGS


def what_speaks(place: Place) -> str | None:
    """Return in words what answers at ``place`` without TLS; ``None`` when nothing does."""
    try:
        with place.connect(CONNECT_S_MAX) as connection:
            connection.settimeout(REPLY_S_MAX)
            connection.sendall(PREFACE)
            heard = connection.recv(1024)
    except OSError:
        return None
    if not heard:
        return None
    if is_settings(heard):
        return "gRPC (HTTP/2) in plain text"
    if heard.startswith(b"HTTP/"):
        return "HTTP in plain text"
    begin = "".join(
        c
        for c in heard[:40].decode("ascii", "replace")
        if c.isprintable() and c != "\N{REPLACEMENT CHARACTER}"
    )
    return f"something that begins with {begin!r}" if begin else "something else"
