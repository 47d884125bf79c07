"""Which reader a file needs: tables by their name, transcripts by their content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from gateway.errors import IntakeError
from gateway.records.intake import delimited, json_lines
from gateway.records.intake.lines import SourceFile
from gateway.records.intake.rows import Reading, Row
from gateway.records.intake.workbook import WorkbookFile, read_workbook
from gateway.records.refusal import RefusedRow
from gateway.records.transcripts.document import TranscriptFile
from gateway.records.transcripts.draft import ElementPlace

Rows = Iterator[Row | RefusedRow]


class OpenFile(Protocol):
    """What an import needs of a file besides its rows."""

    @property
    def bytes_read(self) -> int:
        """How far the file has been read."""

    @property
    def bytes_total(self) -> int:
        """Its size."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of the file, once its last row was read."""

    @property
    def elements(self) -> Sequence[ElementPlace]:
        """Where each element of a transcript went; of a table nothing, its columns say it."""

    def close(self) -> None:
        """Close the file."""


def _delimited(path: Path, reading: Reading) -> tuple[OpenFile, Rows]:
    source = SourceFile(path)
    return source, delimited.read_rows(source, reading)


def _json_lines(path: Path, reading: Reading) -> tuple[OpenFile, Rows]:
    source = SourceFile(path)
    return source, json_lines.read_rows(source, reading)


def _workbook(path: Path, reading: Reading) -> tuple[OpenFile, Rows]:
    source = WorkbookFile(path)
    return source, read_workbook(source, reading)


def _transcript(path: Path, reading: Reading) -> tuple[OpenFile, Rows]:
    source = TranscriptFile(path)
    return source, source.rows(reading)


_READERS: dict[str, Callable[[Path, Reading], tuple[OpenFile, Rows]]] = {
    ".csv": _delimited,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".xlsx": _workbook,
    ".xml": _transcript,
    ".json": _transcript,
    ".jsonld": _transcript,
}


def open_records(path: Path, reading: Reading) -> tuple[OpenFile, Rows]:
    """Return the file and its rows, which are read as they are asked for.

    Raises:
        CallerError: the file cannot be opened.
        IntakeError: no reader knows files of this kind.
    """
    opened = _transcript if reading.facts.format_name else _READERS.get(path.suffix.lower())
    if opened is None:
        raise IntakeError(
            f"{path.name}: unknown kind of file {path.suffix!r}.", remedy=f"Use one of {', '.join(_READERS)}."
        )
    return opened(path, reading)
