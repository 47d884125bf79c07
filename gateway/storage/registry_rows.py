"""The queries of the registry, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gateway.errors import StorageError
from gateway.storage.driver_sql import Row, execute, execute_many, fetch_all, fetch_one, is_sqlite
from gateway.storage.engine import database_name, reading, writing
from gateway.storage.joined_sql import as_one
from gateway.storage.node_tables import Database, Transaction

IMPORT_CACHE_KIB = 64 * 1024
"""SQLite's page cache during an import: both indexes of a million records fit, so a row costs no read."""

_IMPORT_LOCK = 0x7265636F726473
"""PostgreSQL's advisory lock that lets one import write at a time ("records" in ASCII)."""

LOCK_WAIT_MS = 2_000
"""How long a short background transaction waits on PostgreSQL for rows that an import holds."""

_PLACES = (1, 4, 16, 64, 256, 1024, 4096, 16384)
"""Numbers of placeholders, so that few different statements are prepared."""

Change = tuple[bytes, bytes, str, bytes, bytes, bytes]
"""A new translation and its scheme's digest, for the record with this id, digests and old translation."""

RUNNING = "running"
"""State of an import inside its transaction; nobody else sees it."""
COMPLETE = "complete"
"""State of an import that was kept."""


class KnownRow(NamedTuple):
    """What the registry holds about a record that is imported again."""

    record_id: str
    subject_token: bytes
    epoch: str
    scheme_digest: bytes
    content_digest: bytes
    import_id: int
    line: int
    original: bytes


def find_rows(transaction: Transaction, tokens: Sequence[bytes], kinds: Collection[int]) -> list[Row]:
    """Return (token, record_id, kind, translated, scheme_digest, original) of ``tokens`` and ``kinds``.

    Tokens of an earlier epoch find the records too. It is one statement, so that a change of epoch that
    commits meanwhile hides nothing.
    """
    if is_sqlite(transaction):
        wanted, words = _padded(list(tokens)), _padded(list(kinds))
        own = f" WHERE subject_token IN ({_marks(len(wanted))}) AND kind IN ({_marks(len(words))})"
        earlier = f" WHERE a.token IN ({_marks(len(wanted))}) AND r.kind IN ({_marks(len(words))})"
        statement = f"{_SELECT_FOUND}{own} UNION ALL {_SELECT_FOUND_EARLIER}{earlier}"
        return fetch_all(transaction, statement, (*wanted, *words, *wanted, *words))
    own, earlier = (
        " WHERE subject_token = ANY(?) AND kind = ANY(?)",
        " WHERE a.token = ANY(?) AND r.kind = ANY(?)",
    )
    statement = f"{_SELECT_FOUND}{own} UNION ALL {_SELECT_FOUND_EARLIER}{earlier}"
    return fetch_all(transaction, statement, (list(tokens), list(kinds)) * 2)


def insert_aliases(transaction: Transaction, aliases: Sequence[tuple[bytes, bytes]]) -> None:
    """Let records under the second of each pair of tokens be found under the first too."""
    execute_many(
        transaction,
        "INSERT INTO subject_alias (token, canonical) VALUES (?, ?) "
        "ON CONFLICT (token) DO UPDATE SET canonical = excluded.canonical",
        list(aliases),
    )


def move_aliases(transaction: Transaction, moves: Sequence[tuple[bytes, bytes]]) -> None:
    """Let aliases of the first of each pair of tokens lead to the second."""
    execute_many(
        transaction,
        "UPDATE subject_alias SET canonical = ? WHERE canonical = ?",
        [(new, old) for old, new in moves],
    )


def tokens_beside(transaction: Transaction, token: bytes) -> list[bytes]:
    """Return every token of the learner whose token of some epoch is ``token``, the present one first."""
    found = fetch_one(transaction, "SELECT canonical FROM subject_alias WHERE token = ?", (token,))
    canonical = token if found is None else bytes(found[0])
    rows = fetch_all(transaction, "SELECT token FROM subject_alias WHERE canonical = ?", (canonical,))
    return [canonical, *(bytes(row[0]) for row in rows)]


def rows_of_token(transaction: Transaction, token: bytes) -> list[Row]:
    """Return (id, original) of every record under ``token``."""
    statement = "SELECT id, original FROM learner_record WHERE subject_token = ?"
    return fetch_all(transaction, statement, (token,))


def rename_subjects(transaction: Transaction, changes: Sequence[tuple[bytes, str, bytes, int]]) -> None:
    """Write token, epoch and content digest of the record with this id."""
    execute_many(
        transaction,
        "UPDATE learner_record SET subject_token = ?, epoch = ?, content_digest = ? WHERE id = ?",
        list(changes),
    )


def count_under_other_epochs(transaction: Transaction, epoch: str) -> tuple[int, int]:
    """Return how many records, and how many index entries of SQL sources, are not under ``epoch``."""
    records = fetch_one(transaction, "SELECT count(*) FROM learner_record WHERE epoch <> ?", (epoch,))
    entries = fetch_one(
        transaction,
        "SELECT count(*) FROM source_learner o WHERE epoch <> ? AND NOT EXISTS ("
        "SELECT 1 FROM source_learner n "
        "WHERE n.source = o.source AND n.key_digest = o.key_digest AND n.epoch = ?)",
        (epoch, epoch),
    )
    assert records is not None
    assert entries is not None
    return int(records[0]), int(entries[0])


def page_rows(transaction: Transaction, after: str, limit: int) -> list[Row]:
    """Return (record_id, kind, translated, scheme_digest, original) that follow ``after``, by id."""
    return fetch_all(
        transaction,
        "SELECT record_id, kind, translated, scheme_digest, original FROM learner_record "
        "WHERE record_id > ? ORDER BY record_id LIMIT ?",
        (after, limit),
    )


def count_rows(transaction: Transaction) -> int:
    """Return the number of records."""
    row = fetch_one(transaction, "SELECT count(*) FROM learner_record")
    assert row is not None
    return int(row[0])


def count_by_kind(transaction: Transaction) -> list[Row]:
    """Return (kind, scheme_digest, records, learners)."""
    return fetch_all(
        transaction,
        "SELECT kind, scheme_digest, count(*), count(DISTINCT subject_token) FROM learner_record "
        "GROUP BY kind, scheme_digest ORDER BY kind, scheme_digest",
    )


def count_by_kind_of(transaction: Transaction, tokens: Sequence[bytes]) -> list[Row]:
    """Return (kind, scheme_digest, records, tokens) of one learner under any of ``tokens``."""
    wanted = _padded(list(tokens))
    statement = (
        "SELECT kind, scheme_digest, count(*), count(DISTINCT subject_token) FROM learner_record "  # noqa: S608
        f"WHERE subject_token IN ({_marks(len(wanted))}) "
        "GROUP BY kind, scheme_digest ORDER BY kind, scheme_digest"
    )
    return fetch_all(transaction, statement, tuple(wanted))


def latest_imports(transaction: Transaction, limit: int) -> list[Row]:
    """Return (file_name, file_digest, started_at, finished_at, row_count, state), the newest first."""
    return fetch_all(
        transaction,
        "SELECT file_name, file_digest, started_at, finished_at, row_count, state FROM record_import "
        "ORDER BY id DESC LIMIT ?",
        (limit,),
    )


@contextmanager
def import_transaction(database: Database) -> Iterator[Transaction]:
    """The one transaction of an import; rolled back on any error, also when the process is killed.

    Raises:
        StorageError: the database cannot be written, or another import is running.
    """
    with writing(database) as transaction:
        if is_sqlite(transaction):
            execute(transaction, f"PRAGMA cache_size = -{IMPORT_CACHE_KIB}")
        elif fetch_all(transaction, "SELECT pg_try_advisory_xact_lock(?)", (_IMPORT_LOCK,)) != [(True,)]:
            raise StorageError(
                f"database {database_name(database)}: another import is writing.",
                remedy="Wait until it has ended.",
            )
        yield transaction


def discard(transaction: Transaction) -> None:
    """Undo everything that the transaction wrote; it cannot write any more."""
    current = transaction.get_transaction()
    assert current is not None
    current.rollback()


def shrink_log(database: Database) -> None:
    """Give back the disk space of SQLite's write-ahead log, which an import makes as large as itself.

    A reader in the middle of a query keeps it; then the next import gives it back.
    """
    if database.dialect.name == "sqlite":
        with reading(database) as connection:
            fetch_all(connection, "PRAGMA wal_checkpoint(TRUNCATE)")


def begin_import(transaction: Transaction, file_name: str, started_at: int) -> int:
    """Note an import that begins and return its id."""
    row = fetch_one(
        transaction,
        "INSERT INTO record_import (file_name, file_digest, started_at, finished_at, row_count, state) "
        "VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        (file_name, b"", started_at, 0, 0, RUNNING),
    )
    assert row is not None
    return int(row[0])


def finish_import(
    transaction: Transaction, import_id: int, rows: int, file_digest: bytes, finished_at: int
) -> None:
    """Note that every row of the import's file was taken."""
    execute(
        transaction,
        "UPDATE record_import SET file_digest = ?, finished_at = ?, row_count = ?, state = ? WHERE id = ?",
        (file_digest, finished_at, rows, COMPLETE, import_id),
    )


def forget_import(transaction: Transaction, import_id: int) -> None:
    """Take back the note of an import that changed nothing."""
    execute(transaction, "DELETE FROM record_import WHERE id = ?", (import_id,))


def known_rows(transaction: Transaction, record_ids: Sequence[str]) -> dict[str, KnownRow]:
    """Return what the registry holds under ``record_ids``, by id."""
    if is_sqlite(transaction):
        rows = fetch_all(transaction, _SELECT_KNOWN_SQLITE, (json.dumps(record_ids),))
    else:
        rows = fetch_all(transaction, _SELECT_KNOWN_POSTGRESQL, (list(record_ids),))
    return {row[0]: KnownRow(*row) for row in rows}


def one_row(transaction: Transaction, record_id: str) -> Row | None:
    """Return (original, translated, subject_token) of one record."""
    return fetch_one(
        transaction,
        "SELECT original, translated, subject_token FROM learner_record WHERE record_id = ?",
        (record_id,),
    )


def translations(transaction: Transaction, record_ids: Sequence[str]) -> dict[str, bytes]:
    """Return the translated records under ``record_ids``, by id."""
    if is_sqlite(transaction):
        rows = fetch_all(transaction, f"{_SELECT_TRANSLATED} {_IN_JSON}", (json.dumps(record_ids),))
    else:
        rows = fetch_all(transaction, f"{_SELECT_TRANSLATED} = ANY(?)", (list(record_ids),))
    return {row[0]: row[1] for row in rows}


def update_translations(transaction: Transaction, rows: Sequence[tuple[bytes, bytes, str]]) -> None:
    """Write (translated, scheme_digest, record_id): new translations of records that stay what they are."""
    execute_many(
        transaction, "UPDATE learner_record SET translated = ?, scheme_digest = ? WHERE record_id = ?", rows
    )


def count_outdated(transaction: Transaction, digest: bytes) -> int:
    """Return how many records another scheme than that of ``digest`` translated."""
    row = fetch_one(transaction, "SELECT count(*) FROM learner_record WHERE scheme_digest <> ?", (digest,))
    assert row is not None
    return int(row[0])


def outdated_rows(transaction: Transaction, digest: bytes, after: int, limit: int) -> list[Row]:
    """Return (id, record_id, original, translated, scheme_digest, content_digest) of outdated records."""
    return fetch_all(
        transaction,
        "SELECT id, record_id, original, translated, scheme_digest, content_digest FROM learner_record "
        "WHERE id > ? AND scheme_digest <> ? ORDER BY id LIMIT ?",
        (after, digest, limit),
    )


def replace_translations(database: Database, rows: Sequence[Change]) -> None:
    """Write (translated, scheme_digest) of records whose (record_id, scheme_digest, content_digest,
    translated) are still what they were when they were read; one transaction.

    Raises:
        StorageError: the database cannot be written, or an import holds it.
    """
    if not rows:
        return
    with writing(database) as transaction:
        if not is_sqlite(transaction):
            execute(transaction, f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
        execute_many(
            transaction,
            "UPDATE learner_record SET translated = ?, scheme_digest = ? "
            "WHERE record_id = ? AND scheme_digest = ? AND content_digest = ? AND translated = ?",
            rows,
        )


def insert_rows(transaction: Transaction, rows: Sequence[tuple[object, ...]]) -> None:
    """Write new records, each in the order of ``COLUMNS``.

    On PostgreSQL that is one statement, whose rows travel as an array a column: a statement a row took
    two and a half times as long.
    """
    statement = (
        f"INSERT INTO learner_record ({', '.join(COLUMNS)}) "  # noqa: S608 - names of this module
        f"VALUES ({_marks(len(COLUMNS))})"
    )
    if is_sqlite(transaction):
        execute_many(transaction, statement, rows)
    elif rows:
        joined, values = as_one([(statement, rows)])
        execute(transaction, joined, tuple(values))


def update_rows(transaction: Transaction, rows: Sequence[tuple[object, ...]]) -> None:
    """Overwrite the records with the same ``record_id``, each in the order of ``COLUMNS``."""
    changes = ", ".join(f"{name} = ?" for name in COLUMNS[:-1])
    execute_many(
        transaction,
        f"UPDATE learner_record SET {changes} WHERE record_id = ?",  # noqa: S608 - names of this module
        rows,
    )


def insert_changes(transaction: Transaction, rows: Sequence[tuple[str, bytes, int]]) -> None:
    """Note (record_id, subject_token, changed_at) of records that somebody may have been given before."""
    execute_many(
        transaction,
        "INSERT INTO record_change (record_id, subject_token, changed_at) VALUES (?, ?, ?)",
        rows,
    )


def read_changes(transaction: Transaction, limit: int) -> list[Row]:
    """Return (id, record_id, subject_token, changed_at, translated) of noted changes, the oldest first."""
    return fetch_all(
        transaction,
        "SELECT c.id, c.record_id, c.subject_token, c.changed_at, r.translated FROM record_change c "
        "JOIN learner_record r ON r.record_id = c.record_id ORDER BY c.id LIMIT ?",
        (limit,),
    )


def delete_changes(database: Database, until: int) -> None:
    """Forget noted changes up to the one with the id ``until``.

    Raises:
        StorageError: the database cannot be written, or an import holds it.
    """
    with writing(database) as transaction:
        if not is_sqlite(transaction):
            execute(transaction, f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
        execute(transaction, "DELETE FROM record_change WHERE id <= ?", (until,))


COLUMNS = (
    "subject_token",
    "epoch",
    "kind",
    "original",
    "translated",
    "scheme_digest",
    "content_digest",
    "import_id",
    "line",
    "record_id",
)
"""The columns that an import writes; ``record_id`` last, because an update looks for it."""

_SELECT_FOUND = (
    "SELECT subject_token, record_id, kind, translated, scheme_digest, original FROM learner_record"
)
_SELECT_FOUND_EARLIER = (
    "SELECT a.token, r.record_id, r.kind, r.translated, r.scheme_digest, r.original "
    "FROM subject_alias a JOIN learner_record r ON r.subject_token = a.canonical"
)
_SELECT_KNOWN = (
    "SELECT record_id, subject_token, epoch, scheme_digest, content_digest, import_id, line, original "
    "FROM learner_record WHERE record_id"
)
_SELECT_TRANSLATED = "SELECT record_id, translated FROM learner_record WHERE record_id"
_IN_JSON = "IN (SELECT value FROM json_each(?))"
_SELECT_KNOWN_SQLITE = f"{_SELECT_KNOWN} IN (SELECT value FROM json_each(?))"  # noqa: S608 - a constant
_SELECT_KNOWN_POSTGRESQL = f"{_SELECT_KNOWN} = ANY(?)"


def _padded(values: list[object] | list[bytes] | list[int]) -> list[object]:
    """Return ``values`` with the last one repeated up to the next number of placeholders."""
    places = next(number for number in _PLACES if number >= len(values))
    return [*values, *[values[-1]] * (places - len(values))]


def _marks(number: int) -> str:
    return ", ".join("?" * number)
