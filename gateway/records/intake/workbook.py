"""XLSX workbooks (ECMA-376), streamed: one sheet, read row by row in constant memory.

Everything in the archive was written by somebody else: what it unpacks to is bounded, no part may
declare a document type (so there are no entities), and nothing outside the file is looked at. Cells are
text; a number is taken as Excel shows it, a formula or an error value is refused.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from hashlib import file_digest
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile
from zlib import error as ZlibError  # noqa: N812 - the library's own name is lower-case

from gateway.errors import CallerError, IntakeError
from gateway.records.intake.header import shape_of
from gateway.records.intake.rows import COLUMNS_MAX, FIELD_CHARACTERS_MAX, Reading, Row, Shape
from gateway.records.refusal import Refusal, RefusedRow

WORKBOOK_BYTES_MAX = 256 * 1024 * 1024
UNPACKED_BYTES_MAX = 2 * 1024**3
"""All parts together, unpacked. A million rows of the widest layout need about half."""
SHARED_TEXT_BYTES_MAX = 96 * 1024 * 1024
"""The table of shared texts is held in memory while rows are read."""
PARTS_MAX = 2_000
SHEETS_MAX = 64
ROWS_MAX = 1_048_576
"""Rows of a sheet by the standard; a gap beyond it would never end."""
EXACT_DIGITS_MAX = 15
"""Excel keeps so many digits of a number; an identity number has more."""

_DAMAGED = (
    BadZipFile,
    ZlibError,
    struct.error,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    OSError,
)
"""What a broken archive or part makes of the two libraries that read it."""

_BLOCK_BYTES = 64 * 1024
_SHARED_TEXTS = "xl/sharedStrings.xml"


class WorkbookFile:
    """One workbook on its way in; offers what :class:`SourceFile` does for progress and digest."""

    elements = ()
    """No account of elements: the columns say where each value goes."""

    def __init__(self, path: Path) -> None:
        """Look at the file and hash it. Raises ``CallerError``: it cannot be read."""
        self.path = path
        try:
            self._file: io.BufferedReader = path.open("rb")
            self.bytes_total = path.stat().st_size
            self.digest = file_digest(self._file, "sha256").digest()
        except OSError as error:
            raise CallerError(f"{path}: {error.strerror}.", remedy="Check the path.") from error
        self.bytes_read = 0

    def rows(self, reading: Reading) -> Iterator[Row | RefusedRow]:
        """Yield each row of the one sheet that has any, or why it is none.

        Raises:
            IntakeError: the file as a whole is refused.
        """
        with self._opened() as book:
            sheet, names = self._find_table(book)
            shape = shape_of(names, reading, self.fail)
            found = False
            for line, cells in self._lines(sheet):
                if line > 1 and any(cell.value is not None for cell in cells):
                    found = True
                    yield _row(line, cells, shape)
                self.bytes_read = min(self._file.tell(), self.bytes_total)
            if not found:
                raise self.fail("there are no rows below the header.")

    def fail(self, what: str, remedy: str = "") -> IntakeError:
        """Return an error that refuses the whole file."""
        return IntakeError(f"{self.path.name}: {what}", remedy=remedy)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """Yield the workbook, with what its parts can do to a reader turned into ``IntakeError``."""
        from defusedxml.common import DefusedXmlException
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException

        try:
            self._check_archive()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about styles and extensions, which nobody reads here
                book = load_workbook(self._file, read_only=True, keep_links=False)
                try:
                    yield book
                finally:
                    book.close()
        except DefusedXmlException as error:
            raise self.fail("a part declares a document type or entities; no workbook needs that.") from error
        except IntakeError:
            raise
        except (InvalidFileException, *_DAMAGED) as error:
            raise self.fail("it is damaged, or no XLSX workbook.", "Save it again as .xlsx.") from error

    def _check_archive(self) -> None:
        """Refuse an archive that is too large before any of it is read."""
        if self.bytes_total > WORKBOOK_BYTES_MAX:
            raise self.fail(f"it is larger than {WORKBOOK_BYTES_MAX >> 20} MiB.", "Split it, or use CSV.")
        try:
            with ZipFile(self._file) as archive:
                parts = archive.infolist()
                if any(part.flag_bits & 1 for part in parts):
                    raise self.fail("it is encrypted.", "Save it without a password.")
                if any(part.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for part in parts):
                    raise self.fail("it is packed in a way that no workbook is.", "Save it again as .xlsx.")
                for part in parts:
                    if part.filename.endswith((".xml", ".rels")):
                        self._check_part(archive, part.filename)
        except BadZipFile as error:
            raise self.fail("it is no XLSX workbook.", "Save it as .xlsx, or as CSV, UTF-8.") from error
        unpacked = sum(part.file_size for part in parts)
        shared = sum(part.file_size for part in parts if part.filename == _SHARED_TEXTS)
        if len(parts) > PARTS_MAX or unpacked > UNPACKED_BYTES_MAX or shared > SHARED_TEXT_BYTES_MAX:
            raise self.fail("it unpacks to more than a table of records can be.", "Split it, or use CSV.")

    def _check_part(self, archive: ZipFile, name: str) -> None:
        with archive.open(name) as part:
            if b"<!DOCTYPE" in part.read(_BLOCK_BYTES):
                raise self.fail("a part declares a document type; no workbook needs that.")

    def _find_table(self, book: Any) -> tuple[Any, list[str]]:
        """Return the only sheet with content, and its header."""
        if len(book.sheetnames) > SHEETS_MAX:
            raise self.fail(f"it has more than {SHEETS_MAX} sheets.")
        sheets = []
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # what the file claims about its size is not believed
            first = next((cells for _, cells in self._lines(sheet)), None)
            if first and any(cell.value is not None for cell in first):
                sheets.append((sheet, [str(cell.value or "").strip() for cell in first]))
        if not sheets:
            raise self.fail("no sheet has a header in its first line.")
        if len(sheets) > 1:
            titles = ", ".join(sheet.title for sheet, _ in sheets)
            raise self.fail(
                f"{len(sheets)} sheets have content: {titles}.", "Save each as a file of its own."
            )
        sheet, names = sheets[0]
        while names and not names[-1]:
            names.pop()
        return sheet, names

    def _lines(self, sheet: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
        for line, cells in enumerate(sheet.iter_rows(), 1):
            if line > ROWS_MAX:
                raise self.fail(f"it has more than {ROWS_MAX:,} rows.", "Split it, or use CSV.")
            yield line, cells


def read_workbook(source: WorkbookFile, reading: Reading) -> Iterator[Row | RefusedRow]:
    """Yield each row, or why it is none; see :meth:`WorkbookFile.rows`."""
    return source.rows(reading)


def _row(line: int, cells: tuple[Any, ...], shape: Shape) -> Row | RefusedRow:
    columns = shape.columns
    values, refusals = [""] * len(columns), []
    for place, cell in enumerate(cells):
        if cell.value is None:
            continue
        if place >= len(columns):
            reason = f"{min(len(cells), COLUMNS_MAX)} or more cells, the header has {len(columns)}"
            refusals.append(Refusal(line, "", reason))
            break
        text, problem = _text(cell)
        if not problem and len(text) > FIELD_CHARACTERS_MAX:
            problem = f"the field is longer than {FIELD_CHARACTERS_MAX // 1024} Ki characters"
        if problem:
            refusals.append(Refusal(line, columns[place], problem))
        values[place] = text
    return RefusedRow(tuple(refusals)) if refusals else shape.row(line, values)


def _text(cell: Any) -> tuple[str, str]:
    """Return the text of a cell, and what is wrong with it (``""`` = nothing)."""
    value = cell.value
    if cell.data_type == "f":
        return "", "a formula; paste its result as a value"
    if cell.data_type == "e":
        return "", "an error value such as #N/A"
    if isinstance(value, str):
        return value, "the field holds a NUL; no text has one" if "\x00" in value else ""
    if isinstance(value, bool):
        return "", "true or false; write it as text"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, datetime):
        return (value.date().isoformat(), "") if value.time() == time() else (value.isoformat(" "), "")
    if isinstance(value, date):
        return value.isoformat(), ""
    return "", "neither text, number nor date"


def _number(value: float) -> tuple[str, str]:
    """Return a number as Excel shows it: with the 15 digits that it keeps, so that 0.1+0.2 is 0.3."""
    text = format(value, f".{EXACT_DIGITS_MAX}g")
    if "e" in text or "n" in text:  # an exponent, inf or nan
        return (
            "",
            f"a number of more than {EXACT_DIGITS_MAX} digits; format the column as text, type it again",
        )
    return text, ""
