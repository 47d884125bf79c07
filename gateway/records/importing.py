"""Imports a file of records: streamed, in one transaction, kept whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from gateway.clock import Clock, monotonic_s, unix_ms
from gateway.errors import CallerError, IntakeError
from gateway.learners.subject_token import FederationSecret, subject_token
from gateway.records.intake import delimited, json_lines
from gateway.records.intake.lines import SourceFile
from gateway.records.intake.rows import LEARNER_ID, LEARNER_ID_TYPE, RefusedRow, Row
from gateway.records.registry import Registry
from gateway.records.source import original_of
from gateway.schemes import Scheme, UntranslatableError, translate_record
from gateway.storage import registry_rows
from gateway.storage.engine import writing
from gateway.storage.node_tables import Transaction
from gateway.storage.registry_rows import NewRecord

BATCH_ROWS = registry_rows.LOOKUP_IDS
TOKENS_REMEMBERED = 8192

Progress = Callable[[int, int, int], None]
"""Called now and then with bytes read, bytes in all, and rows so far."""
Report = Callable[[RefusedRow], None]
"""Called for every refused row, in the order of the file within a batch."""

_READERS = {".csv": delimited.read_rows, ".jsonl": json_lines.read_rows, ".ndjson": json_lines.read_rows}


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of one file."""

    rows: int
    added: int
    unchanged: int
    replaced: int
    refused: int
    seconds: float

    @property
    def kept(self) -> bool:
        """Whether the file was kept."""
        return self.refused == 0


class _FileRefusedError(Exception):
    """Ends the transaction of a file that has a refused row."""


@dataclass
class _Counts:
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
    *,
    clock: Clock,
    progress: Progress = lambda _done, _total, _rows: None,
    report: Report = lambda _refused: None,
    replace: bool = False,
) -> ImportReport:
    """Import ``path`` (``.csv``, ``.jsonl``, ``.ndjson``).

    Every row is looked at even after one was refused, so that one run shows everything. A file
    that was imported before changes nothing. ``replace`` overwrites records that are held with other
    content.

    Raises:
        IntakeError: the file cannot be read as a whole; nothing was kept.
        StorageError: the database cannot be written; nothing was kept.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise IntakeError(
            f"{path}: unknown kind of file {path.suffix!r}.", remedy=f"Use one of: {', '.join(_READERS)}."
        )
    source, counts, started_s = SourceFile(path), _Counts(), monotonic_s()
    try:
        with writing(registry.database) as transaction:
            registry_rows.lock_imports(transaction)
            import_id = registry_rows.next_import_id(transaction)
            work = _Import(transaction, scheme, secret, node_id, import_id, counts, report, replace=replace)
            for batch in _batches(reader(source)):
                work.take(batch)
                progress(source.bytes_read, source.bytes_total, counts.rows)
            if counts.refused:
                raise _FileRefusedError
            if counts.added or counts.replaced:
                registry_rows.insert_import(transaction, import_id, path.name, unix_ms(clock()), counts.rows)
    except _FileRefusedError:
        counts.added = counts.replaced = counts.unchanged = 0
    return ImportReport(
        counts.rows,
        counts.added,
        counts.unchanged,
        counts.replaced,
        counts.refused,
        monotonic_s() - started_s,
    )


class _Import:
    """The rows of one file on their way into one transaction."""

    def __init__(
        self,
        transaction: Transaction,
        scheme: Scheme,
        secret: FederationSecret,
        node_id: str,
        import_id: int,
        counts: _Counts,
        report: Report,
        *,
        replace: bool,
    ) -> None:
        self._transaction = transaction
        self._scheme = scheme
        self._epoch = secret.epoch
        self._node_id = node_id
        self._import_id = import_id
        self._counts = counts
        self._report = report
        self._replace = replace
        self._token = lru_cache(TOKENS_REMEMBERED)(lambda kind, text: subject_token(secret, kind, text))

    def take(self, batch: list[Row | RefusedRow]) -> None:
        """Write a batch, or report what of it is refused."""
        counts = self._counts
        counts.rows += len(batch)
        new: dict[str, NewRecord] = {}
        for row in batch:
            record = row if isinstance(row, RefusedRow) else self._prepare(row)
            if isinstance(record, NewRecord) and record.record_id in new:
                first = new[record.record_id].line
                record = RefusedRow(record.line, "record_id", f"it stands in line {first} already")
            if isinstance(record, RefusedRow):
                self._refuse(record)
            else:
                new[record.record_id] = record
        if new:
            self._write(new)

    def _refuse(self, refused: RefusedRow) -> None:
        self._counts.refused += 1
        self._report(refused)

    def _prepare(self, row: Row) -> NewRecord | RefusedRow:
        try:
            token = self._token(row.identifier_type, row.identifier)
        except CallerError as error:
            column = LEARNER_ID_TYPE if "identifier type" in error.message else LEARNER_ID
            return RefusedRow(row.line, column, error.message.rstrip("."))
        try:
            shared = translate_record(row.record, self._scheme, self._node_id)
        except UntranslatableError as error:
            return RefusedRow(row.line, error.column, error.reason)
        original = original_of(row.record)
        return NewRecord(
            record_id=row.record.record_id,
            subject_token=token,
            epoch=self._epoch,
            kind=shared.kind,
            translated=shared.SerializeToString(),
            scheme_digest=self._scheme.reference.digest,
            original=original,
            content_digest=sha256(token + original).digest(),
            import_id=self._import_id,
            line=row.line,
        )

    def _write(self, new: dict[str, NewRecord]) -> None:
        known = registry_rows.find_known(self._transaction, list(new))
        added, replaced = [], []
        for record_id, record in new.items():
            old = known.get(record_id)
            if old is None:
                added.append(record)
            elif old.import_id == self._import_id:
                self._refuse(RefusedRow(record.line, "record_id", f"it stands in line {old.line} already"))
            elif old.content_digest == record.content_digest:
                self._counts.unchanged += 1
            elif self._replace:
                replaced.append(record)
            else:
                reason = "it is held with other content; use --replace to overwrite it"
                self._refuse(RefusedRow(record.line, "record_id", reason))
        registry_rows.insert_records(self._transaction, added)
        registry_rows.replace_records(self._transaction, replaced)
        self._counts.added += len(added)
        self._counts.replaced += len(replaced)


def _batches(rows: Iterator[Row | RefusedRow]) -> Iterator[list[Row | RefusedRow]]:
    batch: list[Row | RefusedRow] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch
