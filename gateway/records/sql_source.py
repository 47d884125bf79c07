"""The province's own database as a source of records: asked when a peer asks, never copied.

It knows learners by its own keys; peers ask by subject token. Between them stands an index in the
node's own store, built by ``records index``: subject token and the source's key, encrypted. No
identifier stands in it. See docs/decisions/0006-index-for-sql-sources.md.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

from gateway.errors import GatewayError, StorageError
from gateway.learners.identifier import IdentifierError, check_character
from gateway.learners.subject_token import FederationSecret, subject_token
from gateway.records.importing import ORIGINAL_BYTES_MAX, RECORD_ID_CHARACTERS_MAX
from gateway.records.records_key import RecordsKey
from gateway.records.source import TEXT_FIELDS, StoredRecord, original_of
from gateway.records.translating import translate_stored
from gateway.schemes import LocalRecord, Scheme, UntranslatableError
from gateway.storage import registry_rows, source_rows
from gateway.storage.engine import reading
from gateway.storage.foreign_database import ForeignDatabase, Row
from gateway.storage.node_tables import Database

RECORDS_A_LEARNER_MAX = 10_000
INDEX_BATCH_ROWS = 1_000
LEARNER_ID, LEARNER_KEY = "learner_id", "learner_key"
"""Columns of the query that fills the index."""
FLOAT_DIGITS = 15
"""A binary float is exact to so many decimal digits; with them 0.1 + 0.2 is 0.3."""

_IDENTITY_NUMBER = re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)", re.ASCII)

Progress = Callable[[int, int], None]
"""Called after every batch with learners read and learners in all."""


@dataclass(frozen=True, slots=True)
class SqlMapping:
    """How one source is asked, and how its rows become records."""

    name: str
    query: str
    """One SELECT with ``:learner``; one row a record."""
    learners: str
    """One SELECT of ``learner_id`` and ``learner_key``; one row a learner."""
    columns: Mapping[str, str]
    """Column of the query by column of the record layout."""
    values: Mapping[str, str]
    """Fixed text by column of the record layout."""
    kinds: frozenset[int]
    """The shared kinds that it may hold; it is not asked for others."""
    learner_id_type: str


class IndexReport(NamedTuple):
    """What an index was built of."""

    rows: int
    learners: int
    refused: int
    """Rows whose identifier is none."""


class SqlSource:
    """A ``RecordSource`` over somebody else's database. Safe for threads."""

    def __init__(
        self,
        mapping: SqlMapping,
        foreign: ForeignDatabase,
        index: Database,
        records_key: RecordsKey,
        node_id: str,
        scheme: Callable[[], Scheme],
        failed: Callable[[str, GatewayError], None] = lambda _name, _error: None,
    ) -> None:
        """Put together; ``scheme`` gives the present one, ``failed`` is told of each failure."""
        self._node_id = node_id
        self.mapping = mapping
        self._foreign = foreign
        self._index = index
        self._key = records_key
        self._scheme = scheme
        self._failed = failed

    def find(self, subject_tokens: Sequence[bytes], kinds: Collection[int]) -> list[list[StoredRecord]]:
        """Return the records of ``kinds``, one list a token, translated by the present scheme.

        The database is asked also for a learner whom the index does not have, with a key that nobody
        has: neither a refusal nor its timing tells whether somebody is known.

        Raises:
            StorageError: the database or the index does not answer, or holds what is no record.
        """
        wanted = self.mapping.kinds & set(kinds)
        if not wanted or not subject_tokens:
            return [[] for _ in subject_tokens]
        try:
            keys = self._keys_of(subject_tokens)
            asked = [key for token in subject_tokens for key in keys.get(token, [None])]
            answers = iter(self._foreign.look_up(self.mapping.query, asked, RECORDS_A_LEARNER_MAX + 1))
            found = []
            for token in subject_tokens:
                rows = [row for _ in keys.get(token, [None]) for row in next(answers)]
                found.append(self._records_of(rows, wanted))
            return found
        except StorageError as error:
            self._failed(self.mapping.name, error)
            raise

    def _keys_of(self, tokens: Sequence[bytes]) -> dict[bytes, list[object]]:
        keys: dict[bytes, list[object]] = {}
        with reading(self._index) as transaction:
            rows = source_rows.sealed_keys(transaction, self.mapping.name, tokens)
        for token, sealed in rows:
            keys.setdefault(token, []).append(json.loads(self._key.unseal(sealed, token)))
        return keys

    def _records_of(self, rows: Sequence[Row], kinds: Collection[int]) -> list[StoredRecord]:
        if len(rows) > RECORDS_A_LEARNER_MAX:
            raise StorageError(f"the source has more than {RECORDS_A_LEARNER_MAX:,} records of one learner.")
        records: dict[str, StoredRecord] = {}
        for row in rows:
            stored = self._stored(record_of(row, self.mapping))
            if (
                stored.kind in kinds
                and records.setdefault(stored.record_id, stored).original != stored.original
            ):
                raise StorageError(f"source {self.mapping.name}: one record_id stands for two records.")
        return [records[record_id] for record_id in sorted(records)]

    def _stored(self, record: LocalRecord) -> StoredRecord:
        """Return a record translated by the scheme of this moment. Raises ``StorageError``."""
        original, scheme = _original(record, self.mapping.name), self._scheme()
        try:
            shared = translate_stored(record, scheme, self._node_id)
        except UntranslatableError as error:
            raise StorageError(
                f"source {self.mapping.name}: a record does not fit the scheme: "
                f"{error.column}: {error.reason}.",
                remedy="Correct the record in the source, or scheme.toml.",
            ) from error
        digest = scheme.reference.digest
        return StoredRecord(record.record_id, shared.kind, shared.SerializeToString(), digest, original)


def record_of(row: Row, mapping: SqlMapping) -> LocalRecord:
    """Return a row as a record: what no column takes is an original under its name.

    Raises:
        StorageError: a column is missing, or the record has no id.
    """
    texts = {name: _text(value) for name, value in row.items()}
    try:
        members = {column: texts[name] for column, name in mapping.columns.items()}
    except KeyError as error:
        raise StorageError(
            f"source {mapping.name}: the query has no column {error}.", remedy="Correct columns in node.toml."
        ) from error
    taken = set(mapping.columns.values())
    originals = tuple((name, value) for name, value in texts.items() if name not in taken and value)
    record = LocalRecord(
        **{"record_id": "", "title": "", "kind": ""} | dict(mapping.values) | members, originals=originals
    )
    if not record.record_id.strip() or len(record.record_id) > RECORD_ID_CHARACTERS_MAX:
        raise StorageError(f"source {mapping.name}: a record has no record_id of a right length.")
    return record


def _original(record: LocalRecord, name: str) -> bytes:
    """Return the record's canonical form, free of identity numbers. Raises ``StorageError``."""
    try:
        original = original_of(record)
    except UnicodeEncodeError as error:
        raise StorageError(f"source {name}: a record holds half a character.") from error
    if len(original) > ORIGINAL_BYTES_MAX:
        raise StorageError(f"source {name}: a record is longer than {ORIGINAL_BYTES_MAX // 1024} KiB.")
    for value in (
        *(getattr(record, column) for column in TEXT_FIELDS),
        *(value for _, value in record.originals),
    ):
        for number in _IDENTITY_NUMBER.findall(value):
            if check_character(number[:17]) == number[17].upper():
                raise StorageError(
                    f"source {name}: a record holds an identity number, which may not be passed on.",
                    remedy="Leave that column out of the query.",
                )
    return original


def _text(value: Any) -> str:
    """Return a value of a database as the text of a record."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(value, f".{FLOAT_DIGITS}g")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode()
    return str(value)


def build_index(
    mapping: SqlMapping,
    foreign: ForeignDatabase,
    index: Database,
    records_key: RecordsKey,
    secrets: Sequence[FederationSecret],
    progress: Progress = lambda _done, _total: None,
) -> IndexReport:
    """Build the index of a source anew, streamed, in one transaction: the old one serves until it is done.

    Raises:
        StorageError: the source cannot be read, lacks a column, or the index cannot be written.
    """
    total = foreign.count(mapping.learners)
    rows = refused = 0
    with registry_rows.import_transaction(index) as transaction:
        generation = source_rows.begin_generation(transaction, mapping.name)
        for batch in _batches(foreign.stream(mapping.learners)):
            entries = []
            for row in batch:
                found = list(_entries(row, mapping, records_key, secrets, generation))
                refused += not found
                entries += found
            source_rows.put_learners(transaction, entries)
            rows += len(batch)
            progress(rows, max(total, rows))
        learners = source_rows.end_generation(transaction, mapping.name, generation)
    return IndexReport(rows, learners // max(1, len(secrets)), refused)


def count_indexed(index: Database, source: str) -> int:
    """Return how many subject tokens the index of a source has. Raises ``StorageError``."""
    with reading(index) as transaction:
        return source_rows.count_tokens(transaction, source)


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == INDEX_BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _entries(
    row: Row, mapping: SqlMapping, key: RecordsKey, secrets: Sequence[FederationSecret], generation: int
) -> Iterator[tuple[str, bytes, bytes, str, bytes, int]]:
    """Yield the index entries of a learner, one an epoch; none when the identifier is none."""
    if LEARNER_ID not in row or LEARNER_KEY not in row:
        raise StorageError(
            f"source {mapping.name}: the learners query has no {LEARNER_ID} and {LEARNER_KEY}.",
            remedy="Name them with AS in node.toml.",
        )
    value = row[LEARNER_KEY]
    row_key = json.dumps(value if isinstance(value, int | str) else _text(value)).encode()
    for secret in secrets:
        try:
            token = subject_token(secret, mapping.learner_id_type, _text(row[LEARNER_ID]))
        except IdentifierError:
            return
        digest = key.row_digest(mapping.name, row_key)
        yield mapping.name, token, digest, secret.epoch, key.seal(row_key, token), generation
