"""An attacker's own HTTP/2: frames by hand over TLS, with a leaf that the node accepts. Nothing of the gateway's."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpack import Decoder, Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BLOCKED = (OSError, ssl.SSLError)


@dataclass
class Answer:
    """What came back on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    reset: int | None = None


@dataclass
class Attacker:
    """One connection. Whatever the server says is read only when it is asked for."""

    tls: ssl.SSLSocket
    encoder: Encoder = field(default_factory=Encoder)
    decoder: Decoder = field(default_factory=Decoder)
    answers: dict[int, Answer] = field(default_factory=dict)
    settings: dict[int, int] = field(default_factory=dict)
    goaway: int | None = None
    is_closed: bool = False
    _rest: bytes = b""

    def send(self, *frames: Frame) -> None:
        """Send frames; a connection that the server has closed swallows them."""
        if self.is_closed:
            return
        try:
            self.tls.sendall(b"".join(frame.serialize() for frame in frames))
        except BLOCKED:
            self.is_closed = True

    def headers(
        self, stream: int, method: str, *more: tuple[str, str], flags: Sequence[str] = ("END_HEADERS",)
    ) -> HeadersFrame:
        """The beginning of a gRPC call."""
        block = self.encoder.encode(
            [
                (":method", "POST"),
                (":scheme", "https"),
                (":path", method),
                (":authority", "node"),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("grpc-timeout", "10S"),
                *more,
            ]
        )
        return HeadersFrame(stream, data=block, flags=list(flags))

    def begin(self, stream: int, method: str, message: bytes, *more: tuple[str, str], flag: int = 0) -> None:
        """One whole call; ``flag`` 1 says that the message is compressed."""
        framed = bytes([flag]) + len(message).to_bytes(4, "big") + message
        chunks = [framed[at : at + 16_000] for at in range(0, len(framed), 16_000)]
        data = [DataFrame(stream, data=chunk) for chunk in chunks]
        data[-1].flags.add("END_STREAM")
        self.send(self.headers(stream, method, *more), *data)

    def read(self, seconds: float, until: int = 0) -> None:
        """Take in what comes for so long, or until stream ``until`` has its answer."""
        import time

        ends = time.monotonic() + seconds
        while not self.is_closed and (left := ends - time.monotonic()) > 0:
            if until in self.answers and (
                "grpc-status" in self.answers[until].headers or self.answers[until].reset is not None
            ):
                return
            self.tls.settimeout(left)
            try:
                data = self.tls.recv(65_536)
            except TimeoutError:
                return
            except BLOCKED:
                data = b""
            if not data:
                self.is_closed = True
                return
            self._rest += data
            self._take_frames()

    def _take_frames(self) -> None:
        while len(self._rest) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self._rest[:9]))
            if len(self._rest) < 9 + length:
                return
            body, self._rest = self._rest[9 : 9 + length], self._rest[9 + length :]
            frame.parse_body(memoryview(body))
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self.settings |= frame.settings
            self.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, HeadersFrame):
            found = {text(name): text(value) for name, value in self.decoder.decode(bytes(frame.data))}
            self.answers.setdefault(frame.stream_id, Answer()).headers |= found
        elif isinstance(frame, RstStreamFrame):
            self.answers.setdefault(frame.stream_id, Answer()).reset = frame.error_code
        elif isinstance(frame, GoAwayFrame):
            self.goaway = frame.error_code
        elif isinstance(frame, DataFrame):
            self.send(WindowUpdateFrame(0, window_increment=max(1, frame.flow_controlled_length)))


def text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def tls_context(ca_pem: bytes, leaf: tuple[bytes, bytes]) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca_pem.decode())
    context.set_alpn_protocols(["h2"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "leaf.pem"
        path.write_bytes(b"".join(leaf))
        context.load_cert_chain(path)
    return context


@contextlib.contextmanager
def attacking(
    address: str, name: str, ca_pem: bytes, leaf: tuple[bytes, bytes], settings: dict[int, int] | None = None
) -> Iterator[Attacker]:
    """A connection to ``address`` over mutual TLS; ``leaf`` is certificate and key, PEM."""
    host, port = address.rsplit(":", 1)
    with (
        socket.create_connection((host, int(port)), timeout=20) as raw,
        tls_context(ca_pem, leaf).wrap_socket(raw, server_hostname=name) as tls,
    ):
        tls.sendall(PREFACE)
        attacker = Attacker(tls)
        attacker.send(SettingsFrame(0, settings=settings or {}))
        attacker.read(0.3)
        yield attacker
