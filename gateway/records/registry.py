"""The registry: the node's own store of records, ready-translated, under subject tokens only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from gateway.records.refusal import Refusal
from gateway.records.source import StoredRecord, local_record_of
from gateway.storage import registry_rows
from gateway.storage.driver_sql import HeldConnection
from gateway.storage.engine import reading
from gateway.storage.node_tables import Database, Transaction

PAGE_ROWS_MAX = 1_000
"""Most records that :meth:`Registry.list_` returns at once."""


@dataclass(frozen=True, slots=True)
class RecordTotal:
    """How many records of one kind were translated by one version of the scheme."""

    kind: int
    scheme_digest: bytes
    records: int


@dataclass(frozen=True, slots=True)
class FileImport:
    """One file that was imported. Times are milliseconds since 1970-01-01T00:00:00Z."""

    file_name: str
    file_digest: bytes
    started_at: int
    finished_at: int
    rows: int
    state: str


class NewRecord(NamedTuple):
    """A record on its way into the registry."""

    line: int
    record_id: str
    subject_token: bytes
    kind: int
    original: bytes
    translated: bytes


@dataclass(slots=True)
class PutResult:
    """What became of a batch of records, in numbers; and the ones that cannot be taken."""

    added: int = 0
    unchanged: int = 0
    replaced: int = 0
    refusals: list[Refusal] = field(default_factory=list)


class Registry:
    """The records of this node in a SQL database. A ``RecordSource``; safe for threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held = HeldConnection(database)

    def find(self, subject_tokens: Sequence[bytes], kinds: Collection[int]) -> list[list[StoredRecord]]:
        """Return the records of ``kinds``, one list a token, each ordered by ``record_id``.

        Raises:
            StorageError: the database cannot be read.
        """
        if not subject_tokens or not kinds:
            return [[] for _ in subject_tokens]
        with self._held.reading() as transaction:
            rows = registry_rows.find_rows(transaction, subject_tokens, kinds)
        found: dict[bytes, list[StoredRecord]] = {}
        for token, *members in rows:
            found.setdefault(token, []).append(StoredRecord(*members))
        for records in found.values():
            records.sort(key=_by_id)
        return [list(found.get(token, ())) for token in subject_tokens]

    def count(self) -> int:
        """Return how many records there are. Raises ``StorageError``."""
        with reading(self._database) as transaction:
            return registry_rows.count_rows(transaction)

    def totals(self) -> list[RecordTotal]:
        """Return how many records there are by kind and scheme. Raises ``StorageError``."""
        with reading(self._database) as transaction:
            return [RecordTotal(*row) for row in registry_rows.count_by_kind(transaction)]

    def list_(self, *, after: str = "", limit: int = 100) -> list[StoredRecord]:
        """Return one page of all records, ordered by ``record_id``.

        Args:
            after: ``record_id`` of the last record of the page before; ``""`` begins.
            limit: most records to return, at most ``PAGE_ROWS_MAX``.

        Raises:
            StorageError: the database cannot be read.
        """
        with reading(self._database) as transaction:
            rows = registry_rows.page_rows(transaction, after, min(limit, PAGE_ROWS_MAX))
        return [StoredRecord(*row) for row in rows]

    def imports(self, limit: int = 20) -> list[FileImport]:
        """Return the latest imports, the newest first. Raises ``StorageError``."""
        with reading(self._database) as transaction:
            return [FileImport(*row) for row in registry_rows.latest_imports(transaction, limit)]

    @contextmanager
    def importing(
        self, file_name: str, started_at: int, *, epoch: str, scheme_digest: bytes, replace: bool = False
    ) -> Iterator[ImportSession]:
        """One import: kept as a whole when :meth:`ImportSession.keep` was called, else not at all.

        Args:
            file_name: name of the file, without folders.
            started_at: milliseconds since 1970-01-01T00:00:00Z.
            epoch: epoch of the federation secret that made the subject tokens.
            scheme_digest: digest of the scheme that translates, 32 bytes.
            replace: take the new content of a record that is there with another one.

        Raises:
            StorageError: the database cannot be written, or another import is running.
        """
        with registry_rows.import_transaction(self._database) as transaction:
            import_id = registry_rows.begin_import(transaction, file_name, started_at)
            session = ImportSession(transaction, import_id, epoch, scheme_digest, replace)
            yield session
            if not session.kept:
                registry_rows.discard(transaction)
        registry_rows.shrink_log(self._database)

    def close(self) -> None:
        """Give back the connection that is held for look-ups."""
        self._held.close()


class ImportSession:
    """The write side of one import; made by :meth:`Registry.importing` only."""

    def __init__(
        self, transaction: Transaction, import_id: int, epoch: str, scheme_digest: bytes, replace: bool
    ) -> None:
        self._transaction = transaction
        self._import_id = import_id
        self._epoch = epoch
        self._scheme_digest = scheme_digest
        self._replace = replace
        self.kept = False

    def put(self, records: Sequence[NewRecord]) -> PutResult:
        """Write a batch. A record that cannot be taken is named in ``refusals``, the others are written.

        Raises:
            StorageError: (when the import ends) the database cannot be written.
        """
        result = PutResult()
        known = registry_rows.known_rows(self._transaction, [record.record_id for record in records])
        lines: dict[str, int] = {}
        inserts: list[tuple[object, ...]] = []
        updates: list[tuple[object, ...]] = []
        for record in records:
            old = known.get(record.record_id)
            first_line = lines.setdefault(record.record_id, record.line)
            if old is not None and old.import_id == self._import_id:
                first_line = old.line
            if first_line != record.line:
                result.refusals.append(_repeated(record.line, first_line))
                continue
            digest = self._content_digest(record)
            if old is None:
                inserts.append(self._row(record, digest))
                result.added += 1
            elif old.content_digest == digest:
                result.unchanged += 1
                if old.scheme_digest != self._scheme_digest:
                    updates.append(self._row(record, digest))
            elif self._replace:
                updates.append(self._row(record, digest))
                result.replaced += 1
            else:
                result.refusals.append(self._differing(record, old))
        registry_rows.insert_rows(self._transaction, inserts)
        registry_rows.update_rows(self._transaction, updates)
        return result

    def keep(self, *, rows: int, file_digest: bytes, finished_at: int) -> None:
        """Let the import be kept when it ends: every row of the file was taken."""
        registry_rows.finish_import(self._transaction, self._import_id, rows, file_digest, finished_at)
        self.kept = True

    def _row(self, record: NewRecord, content_digest: bytes) -> tuple[object, ...]:
        return (
            record.subject_token,
            self._epoch,
            record.kind,
            record.original,
            record.translated,
            self._scheme_digest,
            content_digest,
            self._import_id,
            record.line,
            record.record_id,
        )

    def _content_digest(self, record: NewRecord) -> bytes:
        """SHA-256 over who it is about and what the source wrote."""
        return sha256(self._epoch.encode() + b"\x00" + record.subject_token + record.original).digest()

    def _differing(self, record: NewRecord, old: registry_rows.KnownRow) -> Refusal:
        """Say in which columns a record differs from the one that is there, without any value."""
        remedy = "import with --replace to take the new row"
        if old.epoch != self._epoch:
            text = f"the registry holds this record under epoch {old.epoch}"
            return Refusal(record.line, "record_id", f"{text}; {remedy}")
        if old.subject_token != record.subject_token:
            text = "the registry holds this record for another learner"
            return Refusal(record.line, "record_id", f"{text}; check the row before you {remedy}")
        there = StoredRecord(record.record_id, 0, b"", b"", old.original)
        names = _differing_columns(there, StoredRecord(record.record_id, 0, b"", b"", record.original))
        text = f"the registry holds this record with another {', '.join(names)}"
        return Refusal(record.line, "record_id", f"{text}; {remedy}")


def _differing_columns(one: StoredRecord, other: StoredRecord) -> list[str]:
    first, second = local_record_of(one), local_record_of(other)
    return [name for name in first.__slots__ if getattr(first, name) != getattr(second, name)]


def _repeated(line: int, first_line: int) -> Refusal:
    return Refusal(
        line, "record_id", f"the same record_id stands in line {first_line}; a file holds each record once"
    )


def _by_id(record: StoredRecord) -> str:
    return record.record_id
