"""Statements of the exchange path, handed to the driver as they are written.

SQLAlchemy Core checks and converts every value of every row; with eight rows a statement that
costs a quarter of a whole group commit. These statements are few, fixed, and take integers, text
and bytes only, which both drivers take natively. They are written with ``?``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from gateway.storage.engine import reading
from gateway.storage.node_tables import Database, Transaction

Row = Sequence[Any]


def execute_many(transaction: Transaction, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """Run ``statement`` once for each of ``rows``; nothing is sent when there are none."""
    if rows:
        transaction.exec_driver_sql(for_driver(transaction, statement), rows)


def fetch_all(transaction: Transaction, statement: str, values: tuple[Any, ...] = ()) -> Sequence[Row]:
    """Return all rows of a query."""
    return transaction.exec_driver_sql(for_driver(transaction, statement), values).fetchall()


def fetch_one(transaction: Transaction, statement: str, values: tuple[Any, ...] = ()) -> Row | None:
    """Return the first row of a query, if any."""
    return transaction.exec_driver_sql(for_driver(transaction, statement), values).fetchone()


def execute(transaction: Transaction, statement: str, values: tuple[Any, ...] = ()) -> int:
    """Run a statement and return how many rows it touched."""
    return transaction.exec_driver_sql(for_driver(transaction, statement), values).rowcount


def for_driver(transaction: Transaction, statement: str) -> str:
    """Return ``statement`` with the placeholders of the connection's driver."""
    return statement if is_sqlite(transaction) else _with_percent(statement)


def is_sqlite(transaction: Transaction) -> bool:
    """Whether the database is SQLite, where a write transaction excludes every other one."""
    return transaction.dialect.name == "sqlite"


@contextmanager
def reading_rows(database: Database) -> Iterator[Transaction]:
    """A connection for reads that holds no lock: on SQLite, writers go on beside it.

    SQLAlchemy announces a transaction in autocommit mode too, and the engine answers that with
    SQLite's write lock; it is given back here before the first read.

    Raises:
        StorageError: the database cannot be read.
    """
    with reading(database) as connection:
        if is_sqlite(connection):
            connection.exec_driver_sql("SELECT 1")
            driver: Any = connection.connection.dbapi_connection
            if driver.in_transaction:
                driver.execute("COMMIT")
        yield connection


@cache
def _with_percent(statement: str) -> str:
    return statement.replace("?", "%s")


class HeldConnection:
    """One connection for the short reads of the exchange path, opened once and shared in turns.

    Checking a connection out of the pool costs five times as much as such a read itself.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._stack: Any = None
        self._connection: Transaction | None = None

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """The connection, outside any transaction; opened anew after an error.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._lock:
            if self._connection is None:
                self._stack = reading_rows(self._database)
                self._connection = self._stack.__enter__()
            try:
                yield self._connection
            except SQLAlchemyError as error:
                stack, self._stack, self._connection = self._stack, None, None
                stack.__exit__(type(error), error, error.__traceback__)
                raise

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._stack is not None:
                self._stack.__exit__(None, None, None)
            self._stack = self._connection = None
