"""Opens databases. SQLAlchemy 2 Core on SQLite or PostgreSQL; the only place that knows drivers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from gateway.errors import StorageError

# A session that ends just before its connection is given back cannot be reset; the pool opens another one and
# would write a traceback about it. Who needs the database next is told in our own words.
logging.getLogger("sqlalchemy.pool").addHandler(logging.NullHandler())
logging.getLogger("sqlalchemy.pool").propagate = False

BUSY_TIMEOUT_MS = 5_000
"""How long SQLite waits for another process's write lock."""
POOL_CONNECTIONS = 4
"""Connections that a process keeps open to one PostgreSQL database; twice as many more at a peak."""
POSTGRESQL_LINK = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""A database host that is gone is noticed within about ten seconds (libpq; the last in milliseconds)."""


def open_engine(url: str) -> Engine:
    """Return an engine for ``url`` (``sqlite:///FILE`` or ``postgresql+psycopg://…``).

    SQLite runs in WAL mode with ``synchronous=FULL`` (a commit is on the disk when it returns),
    ``secure_delete`` (erased bytes are gone from the file) and foreign keys on.

    Raises:
        StorageError: the URL is not one of a supported engine.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StorageError(
            "the database URL is malformed.",
            remedy="Write sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE.",
        ) from error
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(url)
    if parsed.get_backend_name() == "postgresql":
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_size=POOL_CONNECTIONS,
            max_overflow=2 * POOL_CONNECTIONS,
            pool_pre_ping=True,
            connect_args=POSTGRESQL_LINK,
        )
    raise StorageError(
        f"no support for the database {parsed.get_backend_name()!r}.",
        remedy="Use sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE.",
    )


def _open_sqlite(url: str) -> Engine:
    engine = create_engine(url, connect_args={"check_same_thread": False}, pool_size=16)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, see _begin
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "secure_delete=ON",
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # The event fires for reads too (see `reading`), which stay outside any transaction. Every
        # other one will write: taking the lock at once avoids an upgrade that ends in SQLITE_BUSY.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction: committed at the end, rolled back on any error.

    Raises:
        StorageError: the database cannot be written (read-only, full, locked, gone).
    """
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise StorageError(*_explained(error, engine)) from error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for reads, outside any transaction.

    Raises:
        StorageError: the database cannot be read.
    """
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection
    except SQLAlchemyError as error:
        raise StorageError(*_explained(error, engine)) from error


def is_sqlite_database(engine: Engine) -> bool:
    """Whether only this process can write to the database."""
    return engine.url.get_backend_name() == "sqlite"


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection for several reads that must belong together while other processes write.

    On PostgreSQL all of them see one moment. SQLite has one writer, which is the one that reads.

    Raises:
        StorageError: the database cannot be read.
    """
    if is_sqlite_database(engine):
        with reading(engine) as connection:
            yield connection
        return
    try:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            yield connection
    except SQLAlchemyError as error:
        raise StorageError(*_explained(error, engine)) from error


def scrub(engine: Engine, tables: Sequence[str]) -> bool:
    """Remove what was deleted from the database's files; return whether nothing of it is left there.

    SQLite overwrites deleted rows (``secure_delete``) and empties its write-ahead log, unless somebody
    is reading from it just now. PostgreSQL writes ``tables`` anew; its own write-ahead log holds the old
    bytes until it is recycled.

    Raises:
        StorageError: the database cannot be written.
    """
    with reading(engine) as connection:
        if engine.url.get_backend_name() == "sqlite":
            busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
            return not busy
        for table in tables:
            connection.exec_driver_sql(f"VACUUM (FULL) {table}")
    return True


def connections_of(engine: Engine) -> tuple[int, int]:
    """Return how many connections of the pool are in use, and how many are open and idle."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return 0, 0
    return pool.checkedout(), pool.checkedin()


def size_bytes(engine: Engine) -> int:
    """Return the size of the database, bytes; of an SQLite file, without its write-ahead log.

    Raises:
        StorageError: the database cannot be read.
    """
    with reading(engine) as connection:
        if engine.url.get_backend_name() == "sqlite":
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
        return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())


def database_name(engine: Engine) -> str:
    """What to call the database in a message: the file, or host and database, never a password."""
    url = engine.url
    if url.get_backend_name() == "sqlite":
        return Path(url.database or ":memory:").name
    return f"{url.host or 'local'}/{url.database}"


def _explained(error: SQLAlchemyError, engine: Engine) -> tuple[str]:
    """Say what is wrong with the database without repeating statements or values."""
    text = str(getattr(error, "orig", None) or type(error).__name__).lower()
    name = database_name(engine)
    for sign, meaning in _SIGNS:
        if sign in text:
            return (f"database {name}: {meaning}",)
    return (f"database {name}: {type(getattr(error, 'orig', error)).__name__}; see the database's own log.",)


_SIGNS = (
    ("readonly", "it is read-only. Make the file and its folder writable for this user."),
    ("read-only", "it is read-only. Make it writable for this role."),
    ("is full", "the disk is full. Free some space; nothing was half-written."),
    ("disk i/o error", "the disk reports an error. Check the disk; nothing was half-written."),
    ("locked", "another process holds its write lock. Stop that process or try again."),
    ("no such table", "it has no tables. Run `credit-gateway init`, or `credit-gateway check`."),
    ("unable to open", "it cannot be opened. Check that the folder exists and is writable."),
    ("not a database", "the file is not a database. Restore it from a backup."),
    ("malformed", "the file is damaged. Restore it from a backup."),
    ("connection", "it cannot be reached. Check host, port and credentials."),
)
