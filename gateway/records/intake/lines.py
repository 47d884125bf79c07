"""A text file line by line, in constant memory, with the exact place of what is no text."""

from __future__ import annotations

import io
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.errors import CallerError, IntakeError
from gateway.records.refusal import Refusal

LINE_BYTES_MAX = 256 * 1024
"""A longer line is refused: no record of that size fits into an answer."""

BLOCK_BYTES = 1024 * 1024
SAMPLE_BYTES = 64 * 1024
"""How much of the beginning tells what kind of file it is."""

_FOREIGN = (
    (b"\x1f\x8b", "it is compressed (gzip).", "Unpack it first."),
    (b"PK\x03\x04", "it is a ZIP archive or an Excel workbook.", "Save it as CSV, UTF-8."),
    (b"\xd0\xcf\x11\xe0", "it is an old Excel workbook.", "Save it as CSV, UTF-8."),
    (b"\xff\xfe", "it is UTF-16.", "Save it as UTF-8."),
    (b"\xfe\xff", "it is UTF-16.", "Save it as UTF-8."),
)
_BOM = b"\xef\xbb\xbf"


class SourceFile:
    """Iterates over the lines of a file, each with its line end.

    A line that is no UTF-8, holds a NUL or is too long is not fatal: ``problem`` says so until the
    next line, and what could be read of it is returned, so that the rows after it are found.
    """

    elements = ()
    """No account of elements: the columns say where each value goes."""

    def __init__(self, path: Path) -> None:
        """Look at the file without reading it. Raises ``CallerError``: it is not there."""
        self.path = path
        self.line = 0
        """Number of the line that was read last, from 1."""
        self.bytes_read = 0
        self.problem: Refusal | None = None
        """What is wrong with the line that was read last."""
        self._digest = sha256()
        self._file: io.BufferedReader | None = None
        try:
            self.bytes_total = path.stat().st_size
        except OSError as error:
            raise CallerError(f"{path}: {error.strerror}.", remedy="Check the path.") from error

    def __iter__(self) -> Iterator[str]:
        """Return the file itself: its lines can be read once."""
        return self

    def __next__(self) -> str:
        """Return the next line.

        Raises:
            CallerError: the file cannot be opened.
            IntakeError: it is empty, no text at all, or cannot be read on.
        """
        file = self._file or self._open()
        if file.closed:
            raise StopIteration
        try:
            raw = file.readline(LINE_BYTES_MAX + 1)
        except OSError as error:
            raise IntakeError(f"{self.path}: {error.strerror}.") from error
        if not raw:
            file.close()
            raise StopIteration
        start = self.bytes_read
        self.line += 1
        self.bytes_read = start + len(raw)
        self.problem = None
        if start == 0:
            raw = raw.removeprefix(_BOM)
        if len(raw) > LINE_BYTES_MAX:
            return self._skip_rest(file, raw)
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            offset = self.bytes_read - len(raw) + error.start
            self._note(f"byte {offset} of the file is not UTF-8; spreadsheets often write GB 18030")
            return raw.decode(errors="replace")
        if "\x00" in text:
            self._note(f"character {text.index(chr(0)) + 1} of line {self.line} is a NUL; no text has one")
        return text

    def fail(self, what: str, remedy: str = "") -> IntakeError:
        """Return an error that refuses the whole file."""
        return IntakeError(f"{self.path.name}: {what}", remedy=remedy)

    @property
    def digest(self) -> bytes:
        """SHA-256 of what was read so far, 32 bytes; of the file, when its last line was read."""
        return self._digest.digest()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _open(self) -> io.BufferedReader:
        try:
            self._file = io.BufferedReader(_Hashed(self.path, self._digest), BLOCK_BYTES)
            sample = self._file.peek(SAMPLE_BYTES)[:SAMPLE_BYTES]
        except OSError as error:
            raise CallerError(f"{self.path}: {error.strerror}.", remedy="Check the path.") from error
        problem = self._find_foreign(sample)
        if problem is not None:
            self._file.close()
            raise problem
        return self._file

    def _find_foreign(self, sample: bytes) -> IntakeError | None:
        """Say what the file is when it cannot be what it should be."""
        if not sample.removeprefix(_BOM).strip():
            return self.fail("the file is empty.") if len(sample) < SAMPLE_BYTES else None
        for start, what, remedy in _FOREIGN:
            if sample.startswith(start):
                return self.fail(what, remedy)
        if sample.count(0) * 4 >= len(sample):
            return self.fail("it is UTF-16 or no text.", "Save it as UTF-8.")
        if b"\r" in sample and b"\n" not in sample:
            return self.fail("its lines end in CR alone.", "Save it with line ends LF or CRLF.")
        return None

    def _skip_rest(self, file: io.BufferedReader, raw: bytes) -> str:
        """Read a line that is too long to its end and return an empty one in its place."""
        while raw and not raw.endswith(b"\n"):
            raw = file.readline(LINE_BYTES_MAX)
            self.bytes_read += len(raw)
        self._note(f"line {self.line} is longer than {LINE_BYTES_MAX // 1024} KiB")
        return "\n"

    def _note(self, reason: str) -> None:
        self.problem = Refusal(self.line, "", reason)


class _Hashed(io.FileIO):
    """A file that is hashed while it is read."""

    def __init__(self, path: Path, digest: Any) -> None:
        super().__init__(path)
        self._digest = digest

    def readinto(self, buffer: Any, /) -> int:
        """Read into ``buffer`` and hash what came."""
        count = super().readinto(buffer)
        self._digest.update(memoryview(buffer)[:count])
        return count
