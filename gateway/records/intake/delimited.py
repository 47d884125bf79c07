"""CSV (RFC 4180), UTF-8 with or without byte order mark, streamed."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import NamedTuple

from gateway.records.intake.header import shape_of
from gateway.records.intake.lines import SourceFile
from gateway.records.intake.rows import FIELD_CHARACTERS_MAX, Reading, Row, Shape
from gateway.records.refusal import Refusal, RefusedRow, refused

RECORD_LINES_MAX = 1_000
"""A row that spans more lines has a stray quote."""
RECORD_CHARACTERS_MAX = 256 * 1024
"""So has a longer one; this also bounds the memory that a stray quote can take."""
QUOTE_FAULTS_MAX = 10_000
"""After so many rows with broken quotes the file is given up: each costs the lines of a row again."""

_INNER_QUOTE = re.compile(r'[^",\r\n]"[^",\r\n]')
"""A quote that neither opens, closes nor is doubled. Python's parser would let it pass."""


class _Line(NamedTuple):
    number: int
    text: str
    problem: Refusal | None


class _RunawayError(Exception):
    """The row became longer than any row is."""


class _Lines:
    """Feeds the parser; remembers the lines of the row it is in, so that a stray quote can be traced."""

    def __init__(self, source: SourceFile) -> None:
        self.record: list[_Line] = []
        self._source = source
        self._again: deque[_Line] = deque()
        self._characters = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._again:
            line = self._again.popleft()
        else:
            text = next(self._source)
            line = _Line(self._source.line, text, self._source.problem)
        self.record.append(line)
        self._characters += len(line.text)
        if self._characters > RECORD_CHARACTERS_MAX or len(self.record) > RECORD_LINES_MAX:
            raise _RunawayError
        return line.text

    def begin(self) -> None:
        """Forget the lines of the row before."""
        self.record.clear()
        self._characters = 0

    def read_again(self, kept: int) -> None:
        """Take only the first ``kept`` lines as read; the others of this row come again."""
        self._again.extendleft(reversed(self.record[kept:]))
        del self.record[kept:]

    @property
    def long(self) -> bool:
        """Whether one of the row's fields may be too long."""
        return self._characters > FIELD_CHARACTERS_MAX

    @property
    def problems(self) -> list[Refusal]:
        """What is wrong with the lines of this row."""
        return [line.problem for line in self.record if line.problem is not None]


def read_rows(source: SourceFile, reading: Reading | None = None) -> Iterator[Row | RefusedRow]:
    """Yield each row, or why it is none; without ``reading`` only the record layout is known.

    Raises:
        CallerError: the file cannot be opened.
        IntakeError: the file as a whole is refused: no CSV, or its header is wrong.
    """
    lines = _Lines(source)
    parser = csv.reader(lines, strict=True)
    shape = _read_header(source, lines, parser, reading)
    found, faults = False, 0
    while True:
        lines.begin()
        try:
            values = next(parser, None)
        except (csv.Error, _RunawayError) as error:
            faults += 1
            if faults > QUOTE_FAULTS_MAX:
                text = f"more than {QUOTE_FAULTS_MAX:,} rows have broken quotes; the rest was not read."
                raise source.fail(text, _QUOTE_REMEDY) from error
            found = True
            yield _broken(lines, shape.columns)
            continue
        if values is None:
            break
        if values or lines.problems:
            found = True
            yield _checked(values, lines, shape)
    if not found:
        raise source.fail("there are no rows below the header.")


def _read_header(
    source: SourceFile, lines: _Lines, parser: Iterator[list[str]], reading: Reading | None
) -> Shape:
    try:
        names = next(parser, None)
    except (csv.Error, _RunawayError) as error:
        raise source.fail("line 1: the quotes of the header do not match.", _QUOTE_REMEDY) from error
    if lines.problems:
        raise source.fail(f"line 1: {lines.problems[0].reason}.", "See docs/records.md for the columns.")
    return shape_of(names or [], reading, source.fail)


_QUOTE_REMEDY = "Put fields that hold commas, quotes or line ends in quotes, and double the quotes inside."


def _checked(values: list[str], lines: _Lines, shape: Shape) -> Row | RefusedRow:
    """Return the row of ``values``, or what is wrong with it."""
    number, columns = lines.record[0].number, shape.columns
    refusals = lines.problems
    if len(values) != len(columns) and not refusals:
        return refused(number, "", f"{_fields(len(values))}, the header has {len(columns)}")
    if lines.long:
        refusals += [
            Refusal(number, name, f"the field is longer than {FIELD_CHARACTERS_MAX // 1024} Ki characters")
            for name, value in zip(columns, values, strict=False)
            if len(value) > FIELD_CHARACTERS_MAX
        ]
    text = "".join(line.text for line in lines.record) if len(lines.record) > 1 else lines.record[0].text
    if '"' in text and (text.count('"') % 2 or _INNER_QUOTE.search(text)):
        refusals.append(Refusal(number, "", f"a quote stands inside a field. {_QUOTE_REMEDY}"))
    if refusals:
        return RefusedRow(tuple(refusals))
    return shape.row(number, values)


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _broken(lines: _Lines, columns: Sequence[str]) -> RefusedRow:
    """Refuse a row whose quotes do not match, and have what it swallowed read again.

    The row ends with the line on which the quote at fault was opened.
    """
    swallowed = lines.record[-1].number
    fault = _trace([line.text for line in lines.record])
    number = lines.record[fault.line_index].number
    lines.read_again(fault.line_index + 1)
    column = columns[fault.place] if fault.place < len(columns) else ""
    if fault.kind is _Fault.RETURN:
        reason = "a carriage return (CR) stands outside quotes"
    elif fault.kind is _Fault.TEXT_AFTER:
        reason = f"text follows the end of a quoted field. {_QUOTE_REMEDY}"
    elif fault.kind is _Fault.OPEN:
        end = f" (looked up to line {swallowed})" if swallowed > number else ""
        reason = f"a quote is opened here and never closed{end}. {_QUOTE_REMEDY}"
    else:
        column, reason = "", f"a field is longer than {FIELD_CHARACTERS_MAX // 1024} Ki characters"
    return RefusedRow((Refusal(number, column, reason), *lines.problems))


class _Fault(Enum):
    """Why the parser gave up."""

    OPEN = auto()
    TEXT_AFTER = auto()
    RETURN = auto()
    LONG = auto()


class _Place(NamedTuple):
    """Where: index of the line within the row, number of the field."""

    line_index: int
    place: int
    kind: _Fault


def _trace(texts: Sequence[str]) -> _Place:
    """Find the fault in a row that the parser gave up, and where the quote at fault was opened."""
    opened = 0, 0
    field = 0
    quoted = ended = False
    for index, text in enumerate(texts):
        for position, character in enumerate(text):
            if quoted:
                quoted, ended = character != '"', character == '"'
            elif ended and character == '"':
                quoted, ended = True, False
            elif ended and character not in ",\r\n":
                return _Place(*opened, _Fault.TEXT_AFTER)
            elif character == '"' and (position == 0 or text[position - 1] == ","):
                quoted, opened = True, (index, field)
            elif character == "\r" and text[position + 1 :] not in ("", "\n"):
                return _Place(index, field, _Fault.RETURN)
            else:
                ended = False
                field += character == ","
    return _Place(*opened, _Fault.OPEN) if quoted else _Place(len(texts) - 1, field, _Fault.LONG)
