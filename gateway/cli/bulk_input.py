"""The list of applicants: a CSV file or plain text, one applicant a row, read again and again in order."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from gateway.errors import CallerError
from gateway.learners.identifier import RESIDENT_ID, IdentifierError, normalise

FIELD_CHARACTERS_MAX = 512
REFERENCE, TYPE, IDENTIFIER = "reference", "identifier_type", "identifier"
_NAMES = {
    "reference": REFERENCE,
    "编号": REFERENCE,
    "报名号": REFERENCE,
    "identifier_type": TYPE,
    "证件类型": TYPE,
    "identifier": IDENTIFIER,
    "learner": IDENTIFIER,
    "证件号码": IDENTIFIER,
    "身份证号": IDENTIFIER,
}
_BY_WIDTH = {1: [IDENTIFIER], 2: [REFERENCE, IDENTIFIER], 3: [REFERENCE, TYPE, IDENTIFIER]}


@dataclass(frozen=True, slots=True)
class Applicant:
    """One row of the list."""

    line: int
    """Of the file, from 1."""
    reference: str
    """What the office calls the applicant; may be empty."""
    identifier_type: str
    identifier: str = field(repr=False)
    problem: str = ""
    """Why nobody can be asked about; never repeats the identifier."""


@dataclass(frozen=True, slots=True)
class ApplicantList:
    """A list whose shape is known."""

    path: Path
    encoding: str
    columns: tuple[str, ...]
    has_header: bool
    identifier_type: str
    """Of rows that state none."""
    digest: str
    """SHA-256 of the file, hexadecimal."""

    def __iter__(self) -> Iterator[Applicant]:
        """Read the list from its beginning, one row at a time.

        Raises:
            CallerError: the file cannot be read any more.
        """
        try:
            with self.path.open(encoding=self.encoding, newline="") as file:
                rows = csv.reader(file)
                if self.has_header:
                    next(rows, None)
                line = rows.line_num
                for row in rows:
                    start, line = line + 1, rows.line_num
                    if any(cell.strip() for cell in row):
                        yield self._applicant(start, row)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise CallerError(f"{self.path} cannot be read: {type(error).__name__}.") from error

    def _applicant(self, line: int, row: list[str]) -> Applicant:
        cells = dict(zip(self.columns, (cell.strip() for cell in row), strict=False))
        type_ = cells.get(TYPE) or self.identifier_type
        applicant = Applicant(line, cells.get(REFERENCE, ""), type_, cells.get(IDENTIFIER, ""))
        problem = _problem_of(applicant, len(row), len(self.columns))
        if not problem:
            return applicant
        return Applicant(line, applicant.reference[:FIELD_CHARACTERS_MAX], "", "", problem)


def read_applicants(path: Path, identifier_type: str = RESIDENT_ID) -> ApplicantList:
    """Return the list in ``path``: UTF-8 or GB 18030, with a header or without.

    A header names ``reference``, ``identifier_type`` and ``identifier`` in any order; other columns are
    passed over. Without one there are one to three columns: the identifier, before it the reference,
    between them its type.

    Raises:
        CallerError: it cannot be read, or nobody can tell which column is the identifier.
    """
    encoding, digest = _encoding_of(path)
    with path.open(encoding=encoding, newline="") as file:
        first = next(csv.reader(file), [])
    names = [_NAMES.get(cell.strip().lower(), "") for cell in first]
    if IDENTIFIER in names:
        return ApplicantList(path, encoding, tuple(names), True, identifier_type, digest)
    if len(first) not in _BY_WIDTH:
        raise CallerError(
            f"{path}: no column is called 'identifier'.",
            remedy="Name the columns in the first row: reference, identifier_type, identifier.",
        )
    return ApplicantList(path, encoding, tuple(_BY_WIDTH[len(first)]), False, identifier_type, digest)


def _problem_of(applicant: Applicant, width: int, columns: int) -> str:
    if width < columns:
        return f"the row has {width} of {columns} columns"
    if len(applicant.reference) > FIELD_CHARACTERS_MAX or len(applicant.identifier) > FIELD_CHARACTERS_MAX:
        return "a field is too long: look for a stray quote"
    try:
        normalise(applicant.identifier_type, applicant.identifier)
    except IdentifierError as error:
        return str(error)
    return ""


def _encoding_of(path: Path) -> tuple[str, str]:
    """Return the encoding and the digest of the whole file, read once in pieces."""
    digest, is_utf8 = sha256(), True
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
                if is_utf8:
                    try:
                        decoder.decode(piece)
                    except UnicodeDecodeError:
                        is_utf8 = False
    except OSError as error:
        raise CallerError(f"{path} cannot be read: {error.strerror}.") from error
    return ("utf-8-sig" if is_utf8 else "gb18030"), digest.hexdigest()
