"""Statements of the exchange path, handed to the driver as they are written.

SQLAlchemy opens, pools and ends the connections and transactions. The statements themselves are
few, fixed, and take integers, text and bytes only, which both drivers take natively; through
SQLAlchemy each would cost ten times as much (35 against 3 microseconds), and a group commit has a
dozen. They are written with ``?``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cache
from threading import Lock
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.storage.engine import reading
from gateway.storage.node_tables import Database, Transaction

Row = Sequence[Any]
Values = tuple[Any, ...]


def execute_many(transaction: Transaction, statement: str, rows: Sequence[Values]) -> None:
    """Run ``statement`` once for each of ``rows``; nothing is sent when there are none."""
    if rows:
        with _cursor(transaction) as cursor:
            cursor.executemany(_for_driver(transaction, statement), rows)


def execute(transaction: Transaction, statement: str, values: Values = ()) -> int:
    """Run a statement and return how many rows it touched."""
    with _cursor(transaction) as cursor:
        cursor.execute(_for_driver(transaction, statement), values)
        return int(cursor.rowcount)


def fetch_all(transaction: Transaction, statement: str, values: Values = ()) -> list[Row]:
    """Return all rows of a query."""
    with _cursor(transaction) as cursor:
        rows: list[Row] = cursor.execute(_for_driver(transaction, statement), values).fetchall()
        return rows


def fetch_one(transaction: Transaction, statement: str, values: Values = ()) -> Row | None:
    """Return the first row of a query, if any."""
    with _cursor(transaction) as cursor:
        row: Row | None = cursor.execute(_for_driver(transaction, statement), values).fetchone()
        return row


def is_sqlite(transaction: Transaction) -> bool:
    """Whether the database is SQLite, where a write transaction excludes every other one."""
    return transaction.dialect.name == "sqlite"


@contextmanager
def _cursor(transaction: Transaction) -> Iterator[Any]:
    """A cursor of the driver; its errors leave as SQLAlchemy's, which ``writing`` and ``reading`` expect."""
    try:
        with closing(transaction.connection.cursor()) as cursor:
            yield cursor
    except transaction.dialect.loaded_dbapi.Error as error:
        raise DBAPIError(None, None, error) from error


def _for_driver(transaction: Transaction, statement: str) -> str:
    """Return ``statement`` with the placeholders of the connection's driver."""
    return statement if is_sqlite(transaction) else _with_percent(statement)


@cache
def _with_percent(statement: str) -> str:
    return statement.replace("?", "%s")


class HeldConnection:
    """One connection for the short reads of the exchange path, opened once and shared in turns.

    Checking a connection out of the pool costs more than such a read itself.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._opened: tuple[AbstractContextManager[Transaction], Transaction] | None = None

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """The connection, outside any transaction; opened anew after an error.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._lock:
            if self._opened is None:
                opening = reading(self._database)
                self._opened = opening, opening.__enter__()
            manager, connection = self._opened
            try:
                yield connection
            except SQLAlchemyError as error:
                self._opened = None
                connection.invalidate()
                manager.__exit__(type(error), error, error.__traceback__)
                raise

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._opened is not None:
                self._opened[0].__exit__(None, None, None)
                self._opened = None
