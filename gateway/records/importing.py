"""Imports a file of records: streamed, in one transaction, kept whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import replace as with_changes
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from gateway.clock import Clock, monotonic_s, unix_ms
from gateway.learners.identifier import IDENTIFIER_TYPES, RESIDENT_ID, IdentifierError, normalise
from gateway.learners.subject_token import FederationSecret, subject_token
from gateway.records.intake.formats import OpenFile, Rows, open_records
from gateway.records.intake.rows import (
    LEARNER_ID,
    LEARNER_ID_TYPE,
    ORIGINAL_PREFIX,
    Derived,
    ImportFacts,
    Reading,
    Row,
)
from gateway.records.records_key import RecordsKey
from gateway.records.refusal import Refusal, RefusedRow, shown_name
from gateway.records.registry import ImportSession, NewRecord, PutResult, Registry
from gateway.records.source import TEXT_FIELDS, original_of
from gateway.records.transcripts.draft import ElementPlace
from gateway.records.translating import translate_stored
from gateway.schemes import LocalRecord, Scheme, UntranslatableError

BATCH_ROWS = 1_000
"""Rows that are written by one statement, and between two calls of ``progress``."""
LEARNERS_REMEMBERED = 4_096
"""Learners whose token is not computed again; files usually name a learner in rows that follow."""
RECORD_ID_CHARACTERS_MAX = 200
SHORT_IDENTIFIER_CHARACTERS = 8
"""A shorter identifier may stand in a row by chance."""
ORIGINAL_BYTES_MAX = 64 * 1024
"""A larger row would not fit into an answer together with its translation."""

NO_FACTS = ImportFacts()

Progress = Callable[[int, int, int], None]
"""Called after every batch with bytes read, bytes of the file, and rows so far."""
Report = Callable[[Refusal], None]
"""Called for each thing that is wrong in a row, in the order of the file."""

_IDS = ("record_id", "certificate_number", "superseded_by", "part_of")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of the rows of one file. With a refused row, none was kept."""

    rows: int
    added: int
    unchanged: int
    replaced: int
    refused: int
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether the file was imported."""
        return self.refused == 0


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    added: int = 0
    unchanged: int = 0
    replaced: int = 0
    refused: int = 0


def import_file(
    path: Path,
    registry: Registry,
    scheme: Scheme,
    secret: FederationSecret,
    node_id: str,
    clock: Clock,
    progress: Progress = lambda _done, _total, _rows: None,
    report: Report = lambda _refusal: None,
    *,
    replace: bool = False,
    facts: ImportFacts = NO_FACTS,
    elements: Callable[[ElementPlace], None] = lambda _place: None,
    older_secrets: Sequence[FederationSecret] = (),
) -> ImportReport:
    """Import ``path`` as a whole, or not at all; its format is told by its name and content.

    Every row is looked at even after one was refused, so that one run shows everything. A file
    that was imported before changes nothing, except that its records are translated anew when the
    scheme has changed. Memory does not grow with the file.

    Args:
        path: the file; its name is kept, its folder is not.
        registry: where the records go.
        scheme: translates them.
        secret: makes the subject tokens; identifiers are kept nowhere.
        node_id: this node, the source of the records.
        clock: when the import begins and ends.
        progress: see ``Progress``.
        report: see ``Report``.
        replace: take the new content of records that are there with another one.
        facts: what the file does not say itself.
        elements: called for each element of a foreign transcript with where it went.
        older_secrets: further live secrets; the records are found under their tokens too.

    Raises:
        CallerError: the file cannot be opened.
        IntakeError: the file is refused as a whole, for example for its header; nothing was kept.
        StorageError: the database cannot be written; nothing was kept.
    """
    started_s, tally = monotonic_s(), _Tally()
    source, items = open_records(path, Reading(scheme, facts, clock()))
    preparing = _Preparing(scheme, (secret, *older_secrets), node_id, facts.records_key)
    try:
        with (
            registry.importing(
                shown_name(path.name),
                unix_ms(clock()),
                epoch=secret.epoch,
                scheme_digest=scheme.reference.digest,
                replace=replace,
            ) as session,
            ThreadPoolExecutor(1, "import") as writer,  # ends before the transaction, whatever happens
        ):
            for taken in _take(source, items, session, preparing, tally, writer):
                for refusal in _written(taken, tally):
                    report(refusal)
                progress(taken.bytes_read, source.bytes_total, taken.rows)
            if session.written and not tally.refused:
                session.keep(rows=tally.rows, file_digest=source.digest, finished_at=unix_ms(clock()))
        for place in source.elements:
            elements(place)
    finally:
        source.close()
    if tally.refused:
        tally.added = tally.unchanged = tally.replaced = 0
    return ImportReport(
        tally.rows, tally.added, tally.unchanged, tally.replaced, tally.refused, monotonic_s() - started_s
    )


class _Taken(NamedTuple):
    """A batch that is on its way into the registry."""

    refusals: list[Refusal]
    """What is wrong with its rows, as far as the rows alone show."""
    bytes_read: int
    """Of the file, up to its end."""
    rows: int
    """Of the file, up to its end."""
    writing: Future[PutResult]


def _take(
    source: OpenFile,
    items: Rows,
    session: ImportSession,
    preparing: _Preparing,
    tally: _Tally,
    writer: Executor,
) -> Iterator[_Taken]:
    """Prepare batch after batch; yield each after the next one was, so that it is written meanwhile.

    Most of writing is waiting for the database.
    """
    before: _Taken | None = None
    while batch := list(islice(items, BATCH_ROWS)):
        records, refusals = _prepare(batch, preparing, tally)
        taken = _Taken(refusals, source.bytes_read, tally.rows, writer.submit(session.put, records))
        if before is not None:
            yield before
        before = taken
    if before is not None:
        yield before


def _prepare(
    batch: Sequence[Row | RefusedRow], preparing: _Preparing, tally: _Tally
) -> tuple[list[NewRecord], list[Refusal]]:
    """Return the records of a batch, and what is wrong with its other rows; both are counted."""
    records: list[NewRecord] = []
    refusals: list[Refusal] = []
    tally.rows += len(batch)
    for row in batch:
        outcome = row if isinstance(row, RefusedRow) else preparing.prepare(row)
        if isinstance(outcome, RefusedRow):
            tally.refused += 1
            refusals += outcome.refusals
        else:
            records.append(outcome)
    return records, refusals


def _written(taken: _Taken, tally: _Tally) -> list[Refusal]:
    """Wait until a batch is written; count it, and return all that is wrong with its rows, by line."""
    result = taken.writing.result()
    tally.added += result.added
    tally.unchanged += result.unchanged
    tally.replaced += result.replaced
    tally.refused += len(result.refusals)
    return sorted([*taken.refusals, *result.refusals], key=lambda refusal: refusal.line)


class _Subject(NamedTuple):
    """A learner: the token, and by which texts the identifier would show in other columns."""

    token: bytes
    traces: tuple[bytes, ...]
    earlier_tokens: tuple[bytes, ...] = ()


class _Preparing:
    """Turns rows into records: pseudonymised, translated, and checked."""

    def __init__(
        self,
        scheme: Scheme,
        secrets: Sequence[FederationSecret],
        node_id: str,
        records_key: RecordsKey | None,
    ) -> None:
        self._scheme = scheme
        self._node_id = node_id
        self._records_key = records_key
        self._subject = lru_cache(LEARNERS_REMEMBERED)(
            lambda kind, identifier: _subject_of(secrets, kind, identifier)
        )

    def prepare(self, row: Row) -> NewRecord | RefusedRow:
        """Return the record to keep, or everything that is wrong with the row."""
        record, subject = row.record, None
        refusals: list[Refusal] = []
        try:
            subject = self._subject(row.identifier_type, row.identifier)
        except IdentifierError as error:
            refusals.append(_identifier_refusal(row, error))
        if row.derived is not None:
            return self._prepare_derived(row, row.derived, refusals)
        refusals += _check_record_id(row.line, record.record_id)
        try:
            shared = translate_stored(record, self._scheme, self._node_id)
            original = original_of(record)
        except UntranslatableError as error:
            return RefusedRow((*refusals, *self._find_problems(row.line, record, error)))
        except UnicodeEncodeError:
            return RefusedRow((*refusals, *_find_halves(row.line, record)))
        if len(original) > ORIGINAL_BYTES_MAX:
            reason = f"the row is longer than {ORIGINAL_BYTES_MAX // 1024} KiB; no answer could hold it"
            refusals.append(Refusal(row.line, "", reason))
        if subject is not None:
            searched = original if row.identifier_type == RESIDENT_ID else original.upper()
            for trace in subject.traces:
                if trace in searched:
                    refusals += _find_repeated(row.line, record, trace.decode())
        if refusals or subject is None:
            return RefusedRow(tuple(refusals))
        return NewRecord(
            row.line,
            record.record_id,
            subject.token,
            shared.kind,
            original,
            shared.SerializeToString(),
            subject.earlier_tokens,
        )

    def _prepare_derived(self, row: Row, derived: Derived, refusals: list[Refusal]) -> NewRecord | RefusedRow:
        """Prepare a row whose file has no ids; what is wrong is said in the file's own columns."""
        if not refusals:
            named = row._replace(record=_with_ids(row, derived, self._records_key), derived=None)
            outcome = self.prepare(named)
            if not isinstance(outcome, RefusedRow):
                return outcome
            refusals = list(outcome.refusals)
        return RefusedRow(
            tuple(
                with_changes(each, column=derived.columns.get(each.column, each.column)) for each in refusals
            )
        )

    def _find_problems(self, line: int, record: LocalRecord, first: UntranslatableError) -> Iterator[Refusal]:
        """Yield why ``record`` cannot be translated, not only the first reason.

        Each complaint's column is set to something harmless and the record translated again.
        """
        harmless = {"record_id": "x", "title": "x", "kind": next(iter(self._scheme.kinds))}
        error: UntranslatableError | None = first
        seen: set[str] = set()
        while error is not None and error.column not in seen:
            yield Refusal(line, error.column, error.reason)
            seen.add(error.column)
            changes: dict[str, Any] = {error.column: harmless.get(error.column, "")}
            record = with_changes(record, **changes)
            try:
                translate_stored(record, self._scheme, self._node_id)
                error = None
            except UntranslatableError as another:
                error = another
            except UnicodeEncodeError:
                yield from _find_halves(line, record)
                error = None


def _with_ids(row: Row, derived: Derived, key: RecordsKey | None) -> LocalRecord:
    """Return the row's record with ids made from what it is about, and digests of what may not be kept."""
    assert key is not None  # such a file is refused before its first row
    learner = (row.identifier_type, normalise(row.identifier_type, row.identifier))
    digests = tuple((name, key.digest(name, value)) for name, value in derived.keyed)
    return with_changes(
        row.record,
        record_id=key.record_id(derived.prefix, (*learner, *derived.record)),
        part_of=key.record_id(derived.prefix, (*learner, *derived.part_of)) if derived.part_of else "",
        originals=row.record.originals + digests,
    )


def _subject_of(secrets: Sequence[FederationSecret], identifier_type: str, identifier: str) -> _Subject:
    """Return the learner of an identifier. Raises ``IdentifierError``."""
    text = normalise(identifier_type, identifier)
    # Of a resident number without the check character, which may be written x; and in fifteen digits.
    traces = [text[:17], text[:6] + text[8:17]] if identifier_type == RESIDENT_ID else [text]
    token, *earlier = (subject_token(secret, identifier_type, text) for secret in secrets)
    return _Subject(token, tuple([trace.encode() for trace in traces]), tuple(earlier))


def _identifier_refusal(row: Row, error: IdentifierError) -> Refusal:
    if row.identifier_type not in IDENTIFIER_TYPES:
        # Never repeated: when columns are mixed up, this is the identifier.
        reason = f"unknown type of identifier; use one of {', '.join(IDENTIFIER_TYPES)}"
        return Refusal(row.line, LEARNER_ID_TYPE, reason)
    if not row.identifier.strip():
        return Refusal(row.line, LEARNER_ID, "it is empty")
    if re.fullmatch(r"[\d.]+E\+?\d+", row.identifier.strip(), re.ASCII | re.IGNORECASE):
        reason = "a spreadsheet rounded the identifier (9.9E+17); format the column as text, export again"
        return Refusal(row.line, LEARNER_ID, reason)
    return Refusal(row.line, LEARNER_ID, error.message.rstrip("."))


def _check_record_id(line: int, record_id: str) -> Iterator[Refusal]:
    if len(record_id) > RECORD_ID_CHARACTERS_MAX:
        yield Refusal(line, "record_id", f"it is longer than {RECORD_ID_CHARACTERS_MAX} characters")
    elif record_id != record_id.strip() or not record_id.isprintable():
        yield Refusal(line, "record_id", "it begins or ends with a blank, or holds a control character")


def _columns_of(record: LocalRecord) -> Iterator[tuple[str, str]]:
    yield from ((name, getattr(record, name)) for name in TEXT_FIELDS)
    yield from ((f"{ORIGINAL_PREFIX}{name}", value) for name, value in record.originals)


def _find_halves(line: int, record: LocalRecord) -> Iterator[Refusal]:
    for name, value in _columns_of(record):
        if any("\ud800" <= character <= "\udfff" for character in name + value):
            yield Refusal(line, shown_name(name), "half a surrogate pair (such as \\ud800); no text has one")


def _find_repeated(line: int, record: LocalRecord, trace: str) -> Iterator[Refusal]:
    """Yield in which columns the learner's identifier stands.

    A short one, such as the student number 2015, is looked for as a whole value and only where
    identifiers stand: elsewhere it is a year, or a number of hours.
    """
    for name, value in _columns_of(record):
        if len(trace) < SHORT_IDENTIFIER_CHARACTERS:
            stands = trace == value.upper() and (name in _IDS or name.startswith(ORIGINAL_PREFIX))
        else:
            stands = trace in value.upper()
        if stands:
            reason = "it holds the learner's identifier, which may be kept nowhere; leave it out"
            yield Refusal(line, shown_name(name), reason)
