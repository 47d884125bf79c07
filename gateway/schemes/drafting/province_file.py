"""A province's own CSV as it comes: any columns, UTF-8 or GB 18030, read in constant memory."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import IntakeError

ENCODINGS = ("utf-8-sig", "gb18030")
"""What spreadsheets of the provinces write, the safer one first."""
BLOCK_BYTES = 1024 * 1024
COLUMNS_MAX = 200
HEADER_CHARACTERS_MAX = 32 * 1024
DELIMITERS = (",", "\t", ";", "，")

_FOREIGN = (
    (b"PK\x03\x04", "it is an Excel workbook or a ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "it is an old Excel workbook"),
    (b"\xff\xfe", "it is UTF-16"),
    (b"\xfe\xff", "it is UTF-16"),
    (b"\x1f\x8b", "it is compressed"),
    (b"{", "it is JSON"),
)


class ProvinceFile:
    """One CSV file with a header."""

    def __init__(self, path: Path) -> None:
        """Find out how the file is written.

        Raises:
            IntakeError: it cannot be read, is no text of a known encoding, or its header is wrong.
        """
        self.path = path
        self.encoding = self._find_encoding()
        header = self._header_line()
        self.delimiter = max(DELIMITERS, key=header.count)
        try:
            names = next(csv.reader([header], delimiter=self.delimiter, strict=True))
        except csv.Error as error:
            raise self._fail(f"line 1: {error}", "Check the quotes of the header.") from error
        self.columns = tuple(name.strip() for name in names)
        self._check_header()

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield line and fields by column of each row that is not empty.

        Raises:
            IntakeError: a row has another number of fields than the header, or its quotes do not match.
        """
        try:
            with self.path.open(encoding=self.encoding, newline="") as file:
                reader = csv.reader(file, delimiter=self.delimiter, strict=True)
                next(reader)
                for values in reader:
                    if not values:
                        continue
                    if len(values) != len(self.columns):
                        wrong = f"{len(values)} fields, the header has {len(self.columns)}"
                        raise self._fail(
                            f"line {reader.line_num}: {wrong}", "Put fields that hold separators in quotes."
                        )
                    yield reader.line_num, dict(zip(self.columns, values, strict=True))
        except csv.Error as error:
            raise self._fail(f"line {reader.line_num}: {error}", "Check the quotes of that line.") from error
        except OSError as error:
            raise self._fail(str(error.strerror), "Check the path.") from error

    def _find_encoding(self) -> str:
        try:
            with self.path.open("rb") as file:
                start = file.read(4)
                for mark, what in _FOREIGN:
                    if start.startswith(mark):
                        raise self._fail(what, "Save it as CSV, UTF-8.")
            for encoding in ENCODINGS:
                if self._is(encoding):
                    return encoding
        except OSError as error:
            raise self._fail(str(error.strerror), "Check the path.") from error
        raise self._fail("it is neither UTF-8 nor GB 18030", "Save it as CSV, UTF-8.")

    def _is(self, encoding: str) -> bool:
        decoder = codecs.getincrementaldecoder(encoding)()
        with self.path.open("rb") as file:
            try:
                while block := file.read(BLOCK_BYTES):
                    if "\x00" in decoder.decode(block):
                        return False
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                return False
        return True

    def _header_line(self) -> str:
        with self.path.open(encoding=self.encoding, newline="") as file:
            line = file.readline(HEADER_CHARACTERS_MAX + 1)
        if not line.strip():
            raise self._fail("its first line is empty", "The first line must name the columns.")
        if len(line) > HEADER_CHARACTERS_MAX:
            raise self._fail(
                "its first line is longer than any header", "The first line must name the columns."
            )
        return line

    def _check_header(self) -> None:
        if len(self.columns) > COLUMNS_MAX:
            raise self._fail(f"it has more than {COLUMNS_MAX} columns", "Is the first line the header?")
        for name in self.columns:
            if not name:
                raise self._fail("a column has no name", "Name every column in the first line.")
            if self.columns.count(name) > 1:
                raise self._fail(f"two columns are named {name!r}", "Give each column its own name.")

    def _fail(self, what: str, remedy: str) -> IntakeError:
        return IntakeError(f"{self.path.name}: {what}.", remedy=remedy)
