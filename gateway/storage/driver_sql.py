"""Statements of the exchange path, handed to the driver as they are written.

SQLAlchemy opens, pools and ends the connections and transactions. The statements themselves are
few, fixed, and take integers, text and bytes only, which both drivers take natively; through
SQLAlchemy each would cost ten times as much (35 against 3 microseconds), and a group commit has a
dozen. They are written with ``?``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from threading import Lock
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.clock import monotonic_s
from gateway.storage.engine import reading
from gateway.storage.joined_sql import Values, as_one, can_wait
from gateway.storage.node_tables import Database, Transaction

LIMITS = (
    "SET idle_in_transaction_session_timeout = 3000; SET lock_timeout = 10000; "
    "SET statement_timeout = 15000; "
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3"
)
"""PostgreSQL, milliseconds and seconds. A host that is cut off in the middle of a group must not hold the
log's lock: the server ends its transaction when nothing comes any more."""

IDLE_S = 2.0
"""After how long without use a connection may be one that the server has ended, seconds."""

_LATER = "credit-gateway later"
"""Where a connection keeps the statements that are put off."""

Row = Sequence[Any]


def execute_many(transaction: Transaction, statement: str, rows: Sequence[Values]) -> None:
    """Run ``statement`` once for each of ``rows``; nothing is sent when there are none.

    In a write transaction of a :class:`HeldConnection` on PostgreSQL it may be sent later, together with
    others, but before any other statement and before the commit.
    """
    if not rows:
        return
    later = None if is_sqlite(transaction) else transaction.info.get(_LATER)
    if later is not None and can_wait(statement, rows, later):
        later.append((statement, rows))
        return
    with _Cursor(transaction) as cursor:
        cursor.executemany(_for_driver(transaction, statement), rows)


def execute(transaction: Transaction, statement: str, values: Values = ()) -> int:
    """Run a statement and return how many rows it touched."""
    with _Cursor(transaction) as cursor:
        cursor.execute(_for_driver(transaction, statement), values)
        return int(cursor.rowcount)


def fetch_all(transaction: Transaction, statement: str, values: Values = ()) -> list[Row]:
    """Return all rows of a query."""
    with _Cursor(transaction) as cursor:
        rows: list[Row] = cursor.execute(_for_driver(transaction, statement), values).fetchall()
        return rows


def fetch_one(transaction: Transaction, statement: str, values: Values = ()) -> Row | None:
    """Return the first row of a query, if any."""
    with _Cursor(transaction) as cursor:
        row: Row | None = cursor.execute(_for_driver(transaction, statement), values).fetchone()
        return row


def is_sqlite(transaction: Transaction) -> bool:
    """Whether the database is SQLite, where a write transaction excludes every other one."""
    return transaction.dialect.name == "sqlite"


class _Cursor:
    """A cursor of the driver; its errors leave as SQLAlchemy's, which ``writing`` and ``reading`` expect.

    Written out: as a generator with ``closing`` it took twice the time of the statement in it.
    """

    __slots__ = ("_cursor", "_error", "_transaction")

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._error = transaction.dialect.loaded_dbapi.Error
        if not is_sqlite(transaction):
            _require_same_session(transaction)
            _send_later_ones(transaction)
        connection: Any = transaction.connection.dbapi_connection
        try:
            self._cursor = connection.cursor()
        except self._error as error:
            _leave_if_lost(transaction)
            raise _as_sqlalchemy(error) from error

    def __enter__(self) -> Any:
        return self._cursor

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._cursor.close()
        if isinstance(error, self._error):
            _leave_if_lost(self._transaction)
            raise _as_sqlalchemy(error) from error


def _leave_if_lost(transaction: Transaction) -> None:
    """Have the pool give a connection up that the server has ended.

    SQLAlchemy has not seen the error; it would try to reset the connection and write a traceback about it.
    """
    if is_sqlite(transaction) or transaction.invalidated:
        return
    connection: Any = transaction.connection.dbapi_connection
    if connection.closed:
        transaction.invalidate()


def _require_same_session(transaction: Transaction) -> None:
    """Use nothing of a session that was given up: SQLAlchemy would open another one in its place unasked.

    What came before would be missing there, and a commit would keep only the rest.
    """
    if transaction.invalidated:
        raise _as_sqlalchemy(RuntimeError("the session was lost before"))


def _as_sqlalchemy(error: Exception) -> DBAPIError:
    return DBAPIError(None, None, error)


def _send_later_ones(transaction: Transaction) -> None:
    """Send what :func:`execute_many` has put off, as one statement."""
    later = transaction.info.get(_LATER)
    if later:
        statement, values = as_one(later)
        later.clear()
        with _Cursor(transaction) as cursor:
            cursor.execute(statement, values, prepare=True)


@contextmanager
def _committed(transaction: Transaction) -> Iterator[None]:
    """Commit what the block has written.

    On PostgreSQL rows that are only to be written are put off and sent as one statement: a statement
    costs a round trip and much of the driver's time, whatever is in it.
    """
    if is_sqlite(transaction):
        yield
        execute(transaction, "COMMIT")
        return
    info = transaction.info
    later: list[tuple[str, Sequence[Values]]] = []
    info[_LATER] = later
    try:
        yield
        _require_same_session(transaction)
        _send_later_ones(transaction)
    finally:
        # A lost session's place in the pool may be somebody else's by now, and empty, or theirs.
        if info.get(_LATER) is later:
            del info[_LATER]
    connection: Any = transaction.connection.dbapi_connection
    try:
        committing = connection.execute("COMMIT")
    except transaction.dialect.loaded_dbapi.Error as error:
        raise _as_sqlalchemy(error) from error
    if committing.statusmessage != "COMMIT":  # PostgreSQL ends a failed transaction without an error
        raise _as_sqlalchemy(RuntimeError("the transaction was rolled back"))


def _for_driver(transaction: Transaction, statement: str) -> str:
    """Return ``statement`` with the placeholders of the connection's driver."""
    return statement if is_sqlite(transaction) else _with_percent(statement)


@cache
def _with_percent(statement: str) -> str:
    return statement.replace("?", "%s")


class HeldConnection:
    """One connection for the short work of the exchange path, opened once and used in turns.

    Checking a connection out of the pool, and a transaction through SQLAlchemy, cost more than what
    is read or written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._opened: tuple[AbstractContextManager[Transaction], Transaction] | None = None
        self._used_s = 0.0

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """The connection, outside any transaction; opened anew after an error.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._lock:
            manager, connection = self._open_alive()
            try:
                yield connection
            except SQLAlchemyError as error:
                self._drop(manager, connection, error)
                raise

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """One write transaction: committed at the end, rolled back on any error.

        Raises:
            StorageError: the database cannot be written.
        """
        with self._lock:
            manager, connection = self._begin()
            try:
                with _committed(connection):
                    yield connection
            except SQLAlchemyError as error:
                self._drop(manager, connection, error)
                raise
            except BaseException:
                self._roll_back(manager, connection)
                raise

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._opened is not None:
                self._opened[0].__exit__(None, None, None)
                self._opened = None

    def _open(self) -> tuple[AbstractContextManager[Transaction], Transaction]:
        if self._opened is None:
            opening = reading(self._database)
            connection = opening.__enter__()
            self._opened = opening, connection
            if not is_sqlite(connection):
                try:
                    execute(connection, LIMITS)
                except SQLAlchemyError as error:  # the server has ended the session already
                    self._drop(opening, connection, error)
        return self._opened

    def _open_alive(self) -> tuple[AbstractContextManager[Transaction], Transaction]:
        """The connection; one that was idle for a while is asked first whether the server still has it."""
        manager, connection = self._open()
        now_s = monotonic_s()
        is_doubtful = now_s - self._used_s > IDLE_S and not is_sqlite(connection)
        self._used_s = now_s
        if is_doubtful:
            try:
                execute(connection, "SELECT 1")
            except SQLAlchemyError:
                self._forget(connection)
                return self._open()
        return manager, connection

    def _begin(self) -> tuple[AbstractContextManager[Transaction], Transaction]:
        """Begin; a connection that the server has closed meanwhile is opened anew once."""
        is_held = self._opened is not None
        manager, connection = self._open()
        try:
            # SQLite: taking the lock at once avoids an upgrade that ends in SQLITE_BUSY.
            execute(connection, "BEGIN IMMEDIATE" if is_sqlite(connection) else "BEGIN")
        except SQLAlchemyError as error:
            if not is_held or is_sqlite(connection):
                self._drop(manager, connection, error)
            self._forget(connection)
            return self._begin()
        return manager, connection

    def _roll_back(self, manager: AbstractContextManager[Transaction], connection: Transaction) -> None:
        if connection.invalidated:
            # The server has rolled back. Used again, the connection would open a session of any kind.
            self._forget(connection)
            return
        try:
            execute(connection, "ROLLBACK")
        except SQLAlchemyError as error:
            self._drop(manager, connection, error)

    def _forget(self, connection: Transaction) -> None:
        self._opened = None
        connection.invalidate()

    def _drop(
        self, manager: AbstractContextManager[Transaction], connection: Transaction, error: SQLAlchemyError
    ) -> None:
        """Close the connection, on which anything may be open still, and raise the ``StorageError``."""
        self._forget(connection)
        manager.__exit__(type(error), error, error.__traceback__)
