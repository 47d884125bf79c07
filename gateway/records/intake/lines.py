"""A text file line by line in constant memory, refused with its line when it is no UTF-8 text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.errors import IntakeError

LINE_BYTES_MAX = 1024 * 1024

_FOREIGN = (
    (b"\x1f\x8b", "it is compressed (gzip); unpack it first"),
    (b"PK\x03\x04", "it is a ZIP archive or a spreadsheet; save it as CSV, UTF-8"),
    (b"\xff\xfe", "it is UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "it is UTF-16; save it as UTF-8"),
)


class SourceFile:
    """Iterates over the lines of a file; knows how far it has read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0
        """Number of the line that was read last, from 1."""
        self.bytes_read = 0
        try:
            self.bytes_total = path.stat().st_size
        except OSError as error:
            raise IntakeError(f"{path}: {error.strerror}.", remedy="Check the path.") from error

    def __iter__(self) -> Iterator[str]:
        """Yield each line with its line end.

        Raises:
            IntakeError: not UTF-8, holds a NUL byte, or has a line longer than 1 MiB.
        """
        try:
            with self.path.open("rb") as file:
                while raw := file.readline(LINE_BYTES_MAX + 1):
                    self.line += 1
                    self.bytes_read += len(raw)
                    yield self._decode(raw)
        except OSError as error:
            raise IntakeError(f"{self.path}: {error.strerror}.") from error

    def fail(self, what: str, remedy: str = "") -> IntakeError:
        """Return an error that names the present line."""
        return IntakeError(f"{self.path}:{self.line}: {what}.", remedy=remedy)

    def _decode(self, raw: bytes) -> str:
        if self.line == 1:
            for start, meaning in _FOREIGN:
                if raw.startswith(start):
                    raise self.fail(meaning)
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if len(raw) > LINE_BYTES_MAX:
            hint = "its lines end in CR alone; save it with LF or CRLF" if b"\r" in raw[:-2] else ""
            raise self.fail(hint or "a line is longer than 1 MiB")
        if b"\x00" in raw:
            raise self.fail("a NUL byte; this is no text file")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.fail(
                f"not UTF-8 at byte {error.start + 1} of the line",
                remedy="Save the file as UTF-8; spreadsheets often write GB18030.",
            ) from error
