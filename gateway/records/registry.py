"""The registry: the node's own store of records, ready-translated, under subject tokens only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from creditexchange.v1.record_pb2 import RECORD_STATE_UNSPECIFIED, RECORD_STATE_VALID, LearningRecord
from gateway.clock import Clock, system_clock, unix_ms
from gateway.errors import CallerError
from gateway.records.refusal import Refusal
from gateway.records.ruling import Ruling, apply_ruling, ruling_in
from gateway.records.source import ORIGINALS, TEXT_FIELDS, StoredRecord, read_original
from gateway.records.translating import translate_stored
from gateway.schemes import Scheme
from gateway.storage import registry_rows
from gateway.storage.driver_sql import HeldConnection
from gateway.storage.engine import reading
from gateway.storage.node_tables import Database, Transaction

PAGE_ROWS_MAX = 1_000
"""Most records that :meth:`Registry.list_` returns at once."""


@dataclass(frozen=True, slots=True)
class RecordTotal:
    """How many records of one kind one version of the scheme translated."""

    kind: int
    scheme_digest: bytes
    records: int
    learners: int


@dataclass(frozen=True, slots=True)
class FileImport:
    """A file that was imported. Times are milliseconds since 1970-01-01T00:00:00Z."""

    file_name: str
    file_digest: bytes
    started_at: int
    finished_at: int
    rows: int
    state: str


class ChangedRecord(NamedTuple):
    """A record that was corrected, ruled about or restored after somebody may have been given it."""

    change_id: int
    record_id: str
    subject_token: bytes
    """Under which it stood when it was changed."""
    changed_at: int
    """Milliseconds since 1970-01-01T00:00:00Z."""
    translated: bytes
    """The record as it is now, a serialised ``LearningRecord``."""


class NewRecord(NamedTuple):
    """A record on its way into the registry."""

    line: int
    record_id: str
    subject_token: bytes
    kind: int
    original: bytes
    translated: bytes
    earlier_tokens: tuple[bytes, ...] = ()
    """The learner's tokens under older federation secrets that are live: the record is found by them too."""


@dataclass(slots=True)
class PutResult:
    """What became of a batch of records, in numbers; and the ones that cannot be taken."""

    added: int = 0
    unchanged: int = 0
    replaced: int = 0
    refusals: list[Refusal] = field(default_factory=list)


class Registry:
    """The records of this node in a SQL database. A ``RecordSource``; safe for threads."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        self._database = database
        self._clock = clock
        self._held = HeldConnection(database)

    @property
    def database(self) -> Database:
        """The database that holds it."""
        return self._database

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
            records.sort(key=_record_id)
        return [list(found.get(token, ())) for token in subject_tokens]

    def rule(
        self, record_id: str, ruling: Ruling | None, scheme: Scheme, node_id: str, *, is_dated: bool = True
    ) -> bool:
        """Put a ruling on a record, or lift it (``None``); return whether anything changed.

        From the next answer on every asker sees it. Without ``is_dated`` the date is only that of the
        command, so the same ruling of an earlier day stays as it is.

        Raises:
            CallerError: there is no such record.
            UntranslatableError: the record does not fit the scheme any more.
            StorageError: the database cannot be written, or an import is writing.
        """
        with registry_rows.import_transaction(self._database) as transaction:
            row = registry_rows.one_row(transaction, record_id)
            if row is None:
                raise CallerError(
                    f"the registry has no record {record_id[:200]!r}.",
                    remedy="`records export` lists all; what a SQL source holds is corrected there.",
                )
            original, translated, token = row
            before = ruling_in(LearningRecord.FromString(translated))
            if before is not None and ruling is not None and not is_dated:
                ruling = ruling._replace(since=before.since) if _same_ruling(before, ruling) else ruling
            if before == ruling:
                return False
            shared = apply_ruling(translate_stored(read_original(original), scheme, node_id), ruling)
            change = (shared.SerializeToString(), scheme.reference.digest, record_id)
            registry_rows.update_translations(transaction, [change])
            registry_rows.insert_changes(transaction, [(record_id, token, unix_ms(self._clock()))])
        return True

    def rekey(self, pairs: Sequence[tuple[bytes, bytes]], epoch: str) -> int:
        """Move records from the first to the second token of each pair, that of ``epoch``; return how many.

        They are found under both from then on. One short transaction: call it with some hundred pairs.

        Raises:
            StorageError: the database cannot be written, or an import is writing.
        """
        with registry_rows.import_transaction(self._database) as transaction:
            return _rekey(transaction, pairs, epoch)

    def count_under_other_epochs(self, epoch: str) -> tuple[int, int]:
        """Return how many records, and how many index entries of SQL sources, are not under ``epoch``.

        Raises:
            StorageError: the database cannot be read.
        """
        with reading(self._database) as transaction:
            return registry_rows.count_under_other_epochs(transaction, epoch)

    def tokens_of(self, subject_token: bytes) -> list[bytes]:
        """Return every token of the same learner: that of the present epoch, and those of earlier ones.

        Raises:
            StorageError: the database cannot be read.
        """
        with reading(self._database) as transaction:
            return registry_rows.tokens_beside(transaction, subject_token)

    def changes(self, limit: int) -> list[ChangedRecord]:
        """Return up to ``limit`` changes that were not forgotten yet, the oldest first.

        Raises:
            StorageError: the database cannot be read.
        """
        with reading(self._database) as transaction:
            return [ChangedRecord(*row) for row in registry_rows.read_changes(transaction, limit)]

    def forget_changes(self, until: int) -> None:
        """Forget changes up to the one with the id ``until``: everybody concerned will be told.

        Raises:
            StorageError: the database cannot be written, or an import is writing; ask again later.
        """
        registry_rows.delete_changes(self._database, until)

    def count(self) -> int:
        """Return how many records there are. Raises ``StorageError``."""
        with reading(self._database) as transaction:
            return registry_rows.count_rows(transaction)

    def totals(self, subject_tokens: Sequence[bytes] = ()) -> list[RecordTotal]:
        """Return how many records there are by kind and scheme, of one learner or of all.

        Args:
            subject_tokens: the learner's tokens, one a live epoch; none counts everybody.

        Raises:
            StorageError: the database cannot be read.
        """
        with reading(self._database) as transaction:
            rows = (
                registry_rows.count_by_kind_of(transaction, subject_tokens)
                if subject_tokens
                else registry_rows.count_by_kind(transaction)
            )
        return [RecordTotal(*row) for row in rows]

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
            session = ImportSession(transaction, import_id, epoch, scheme_digest, replace, started_at)
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
        self,
        transaction: Transaction,
        import_id: int,
        epoch: str,
        scheme_digest: bytes,
        replace: bool,
        started_at: int,
    ) -> None:
        self._transaction = transaction
        self._import_id = import_id
        self._epoch = epoch
        self._digest_prefix = epoch.encode() + b"\x00"
        self._scheme_digest = scheme_digest
        self._replace = replace
        self._started_at = started_at
        self.written = 0
        """Records that were added, replaced, translated anew or moved to another epoch."""
        self.kept = False

    def put(self, records: Sequence[NewRecord]) -> PutResult:
        """Write a batch. A record that cannot be taken is named in ``refusals``, the others are written.

        A record with the same content is translated anew when another scheme translated it.
        """
        result = PutResult()
        earlier = {old: record.subject_token for record in records for old in record.earlier_tokens}
        if earlier:
            self.written += _rekey(self._transaction, list(earlier.items()), self._epoch)
        known = registry_rows.known_rows(self._transaction, [record.record_id for record in records])
        lines: dict[str, int] = {}
        inserts: list[tuple[object, ...]] = []
        changes: list[tuple[str, bytes, int]] = []
        updates: list[tuple[NewRecord, bytes]] = []
        for record in records:
            old = known.get(record.record_id)
            first_line = lines.setdefault(record.record_id, record.line)
            if old is not None and old.import_id == self._import_id:
                first_line = old.line
            if first_line != record.line:
                result.refusals.append(_repeated(record.line, first_line))
                continue
            digest = sha256(self._digest_prefix + record.subject_token + record.original).digest()
            if old is None:
                inserts.append(self._row(record, digest))
            elif old.content_digest == digest:
                result.unchanged += 1
                if old.scheme_digest != self._scheme_digest:
                    updates.append((record, digest))
            elif self._replace or _only_ends(record, old):
                updates.append((record, digest))
                changes.append((record.record_id, old.subject_token, self._started_at))
                result.replaced += 1
            else:
                result.refusals.append(self._differing(record, old))
        registry_rows.insert_rows(self._transaction, inserts)
        registry_rows.insert_aliases(self._transaction, list(earlier.items()))
        registry_rows.update_rows(
            self._transaction, [self._row(record, digest) for record, digest in self._with_rulings(updates)]
        )
        registry_rows.insert_changes(self._transaction, changes)
        result.added = len(inserts)
        self.written += len(inserts) + len(updates)
        return result

    def keep(self, *, rows: int, file_digest: bytes, finished_at: int) -> None:
        """Let the import be kept when it ends: every row of the file was taken."""
        registry_rows.finish_import(self._transaction, self._import_id, rows, file_digest, finished_at)
        self.kept = True

    def _with_rulings(self, updates: list[tuple[NewRecord, bytes]]) -> list[tuple[NewRecord, bytes]]:
        """Return what is to be written over records, with the rulings that stand on them."""
        if not updates:
            return updates
        before = registry_rows.translations(self._transaction, [record.record_id for record, _ in updates])
        result = []
        for record, digest in updates:
            ruling = ruling_in(LearningRecord.FromString(before[record.record_id]))
            if ruling is not None:
                shared = apply_ruling(LearningRecord.FromString(record.translated), ruling)
                record = record._replace(translated=shared.SerializeToString())  # noqa: PLW2901
            result.append((record, digest))
        return result

    def _row(self, record: NewRecord, content_digest: bytes) -> tuple[object, ...]:
        """The values of ``registry_rows.COLUMNS``."""
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

    def _differing(self, record: NewRecord, old: registry_rows.KnownRow) -> Refusal:
        """Say in what a record differs from the one that is there, without any value."""
        if old.epoch != self._epoch:
            what = f"under epoch {old.epoch}"
        elif old.subject_token != record.subject_token:
            what = "for another learner"
        else:
            names = _differences(record, old)
            what = f"with another {', '.join(names)}"
        reason = f"the registry holds this record {what}; use --replace if the new row is right"
        return Refusal(record.line, "record_id", reason)


def _rekey(transaction: Transaction, pairs: Sequence[tuple[bytes, bytes]], epoch: str) -> int:
    """Move records from the first to the second token of each pair; return how many."""
    prefix, changes, moved = epoch.encode() + b"\x00", [], []
    for old, new in pairs:
        rows = registry_rows.rows_of_token(transaction, old)
        for record, original in rows:
            changes.append((new, epoch, sha256(prefix + new + original).digest(), record))
        if rows:
            moved.append((old, new))
    registry_rows.rename_subjects(transaction, changes)
    registry_rows.move_aliases(transaction, moved)
    registry_rows.insert_aliases(transaction, moved)
    return len(changes)


def _differences(record: NewRecord, old: registry_rows.KnownRow) -> list[str]:
    """Return the columns in which a record differs from the one that is there."""
    one, other = read_original(old.original), read_original(record.original)
    return [name for name in (*TEXT_FIELDS, ORIGINALS) if getattr(one, name) != getattr(other, name)]


def _only_ends(record: NewRecord, old: registry_rows.KnownRow) -> bool:
    """Whether the new row says that the record no longer holds, and nothing else new.

    That is taken without ``--replace``: a correction must not wait. The way back needs it, so that a
    stale file never makes a revoked record valid again.
    """
    if old.subject_token != record.subject_token or not set(_differences(record, old)) <= _STATUS_COLUMNS:
        return False
    state = LearningRecord.FromString(record.translated).status.state
    return state not in (RECORD_STATE_UNSPECIFIED, RECORD_STATE_VALID)


def _same_ruling(one: Ruling, other: Ruling) -> bool:
    """Whether two rulings say the same but for the date."""
    return one._replace(since="") == other._replace(since="")


_STATUS_COLUMNS = frozenset({"status", "status_since", "superseded_by"})


def _repeated(line: int, first_line: int) -> Refusal:
    return Refusal(line, "record_id", f"line {first_line} has this record_id already; each may stand once")


def _record_id(record: StoredRecord) -> str:
    return record.record_id
