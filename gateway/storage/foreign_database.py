"""Somebody else's database, read only: bounded in time, in connections, and never written.

Three walls stand between a query and a write: only one SELECT is taken, the session is read-only
where the server enforces it (SQLite ``mode=ro``, PostgreSQL ``default_transaction_read_only``, MySQL
and MariaDB ``transaction_read_only``), and the role that the operator gave should have no other right.
"""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLongError
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import sqlparse
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from gateway.clock import monotonic_s
from gateway.errors import StorageError

PAUSE_S = 5.0
"""After a failure the source is not tried for so long: a dead one must not hold a thread per call."""
QUERY_CHARACTERS_MAX = 16 * 1024
PARAMETER = "learner"
"""The one parameter of a look-up, written ``:learner``."""
STREAM_ROWS = 1_000

Row = Mapping[str, Any]
Result = TypeVar("Result")

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}


class QueryError(ValueError):
    """A query is not one SELECT, or lacks what it needs; the text says what."""


def check_select(query: str, *, has_parameter: bool) -> str:
    """Return ``query`` if it is one SELECT (``WITH`` before it is fine).

    Raises:
        QueryError: anything else.
    """
    if len(query) > QUERY_CHARACTERS_MAX:
        raise QueryError(f"it is longer than {QUERY_CHARACTERS_MAX // 1024} Ki characters")
    statements = [each for each in sqlparse.parse(query) if str(each).strip(" \t\r\n;")]
    kinds = [each.get_type() for each in statements]  # type: ignore[no-untyped-call]
    if kinds != ["SELECT"]:
        raise QueryError("write one SELECT and nothing else")
    names = set(text(query).compile().params)
    if names != ({PARAMETER} if has_parameter else set()):
        wanted = f"exactly the parameter :{PARAMETER}" if has_parameter else "no parameter"
        raise QueryError(f"it needs {wanted}")
    return query


def check_url(url: str) -> str:
    """Return ``url`` if it is that of an engine with a read-only mode, without a password.

    Raises:
        QueryError: anything else.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise QueryError("it is no database URL") from error
    if parsed.get_backend_name() not in _DRIVERS:
        raise QueryError(f"no read-only mode is known for it; use one of {', '.join(sorted(_DRIVERS))}")
    if parsed.password:
        raise QueryError("a password stands in it; put it into a file and name that as password_file")
    return url


class ForeignDatabase:
    """One database of somebody else. Safe for threads; nothing waits longer than ``timeout_s``."""

    def __init__(self, url: str, password: str, *, timeout_s: float, connections_max: int) -> None:
        """Prepare; nothing is connected before the first query.

        Raises:
            StorageError: the driver is not installed.
        """
        self._timeout_s = timeout_s
        self._engine = _open(make_url(url), password, timeout_s, connections_max)
        self._free = threading.Semaphore(connections_max)
        self._workers = ThreadPoolExecutor(connections_max, thread_name_prefix="source")
        self._resume_at = 0.0

    def look_up(self, query: str, keys: Sequence[object], rows_max: int) -> list[list[Row]]:
        """Return the rows of ``query``, one list a key, of at most ``rows_max`` rows.

        Raises:
            StorageError: the database cannot be reached, refuses, or takes longer than ``timeout_s``
                for all keys together.
        """
        statement = text(query)

        def run(connection: Connection) -> list[list[Row]]:
            results = (connection.execute(statement, {PARAMETER: key}) for key in keys)
            return [[dict(row) for row in islice(each.mappings(), rows_max)] for each in results]

        return self._bounded(run)

    def _bounded(self, run: Callable[[Connection], Result]) -> Result:
        """Run on a worker and wait no longer than allowed; then the connection is cut."""
        if monotonic_s() < self._resume_at:
            raise StorageError("the source failed a moment ago; it is tried again in a few seconds.")
        if not self._free.acquire(blocking=False):
            raise StorageError("all connections to the source are busy.", remedy="Raise connections_max.")
        held: list[Any] = []

        def work() -> Result:
            try:
                with self._connected() as connection:
                    held.append(connection.connection.driver_connection)
                    return run(connection)
            finally:
                held.clear()
                self._free.release()

        future = self._workers.submit(work)
        try:
            return future.result(self._timeout_s)
        except WaitedTooLongError as error:
            self._resume_at = monotonic_s() + PAUSE_S
            for connection in held:
                _cut(connection)
            raise StorageError(f"the source did not answer within {self._timeout_s:g} s.") from error
        except StorageError:
            self._resume_at = monotonic_s() + PAUSE_S
            raise

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            original = getattr(error, "orig", None) or error
            raise StorageError(f"the source cannot be read ({type(original).__name__}).") from error
        except UnicodeError as error:
            raise StorageError("the source holds text in another encoding than it says.") from error

    def stream(self, query: str) -> Iterator[Row]:
        """Yield the rows of ``query`` as they come, in constant memory, without any limit of time.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._connected() as connection:
            streaming = connection.execution_options(stream_results=True, yield_per=STREAM_ROWS)
            for row in streaming.execute(text(query)).mappings():
                yield dict(row)

    def count(self, query: str) -> int:
        """Return how many rows ``query`` has. Raises ``StorageError``."""
        with self._connected() as connection:
            inner = f"{query.strip().rstrip(';')}\n"  # the line may end in a comment
            return int(connection.execute(text(f"SELECT count(*) FROM ({inner}) AS counted")).scalar_one())  # noqa: S608 - the operator's own query

    def close(self) -> None:
        """Let go of all connections; work that still hangs is not waited for."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()


def _open(url: URL, password: str, timeout_s: float, connections_max: int) -> Engine:
    backend = url.get_backend_name()
    url = url.set(drivername=_DRIVERS[backend])
    if password:
        url = url.set(password=password)
    pool = {"pool_size": connections_max, "max_overflow": 0, "pool_timeout": timeout_s}
    try:
        if backend == "sqlite":
            return _open_sqlite(url, timeout_s, pool)
        engine = create_engine(url, connect_args=_limits(backend, timeout_s), pool_pre_ping=True, **pool)
    except (NoSuchModuleError, ImportError) as error:
        extra = "mysql" if backend == "mariadb" else backend
        raise StorageError(
            f"the driver for {backend} is not installed.", remedy=f"Install credit-exchange-gateway[{extra}]."
        ) from error
    if backend in ("mysql", "mariadb"):
        _make_read_only_mysql(engine)
    return engine


def _limits(backend: str, timeout_s: float) -> dict[str, Any]:
    """Return what makes a session of this server read-only and short-lived."""
    connect_s = max(1, math.ceil(timeout_s))
    if backend == "postgresql":
        wait_ms = math.ceil(timeout_s * 1000)
        options = (
            f"-c default_transaction_read_only=on -c statement_timeout={wait_ms} -c lock_timeout={wait_ms}"
        )
        return {"connect_timeout": connect_s, "options": options, "application_name": "credit-gateway"}
    return {"connect_timeout": connect_s, "read_timeout": connect_s, "write_timeout": connect_s}


def _open_sqlite(url: URL, timeout_s: float, pool: dict[str, Any]) -> Engine:
    path = quote(str(Path(url.database or "").resolve()))
    engine = create_engine(
        f"sqlite:///file:{path}?mode=ro&uri=true",
        connect_args={"check_same_thread": False, "timeout": timeout_s},
        **pool,
    )

    @event.listens_for(engine, "connect")
    def _only_query(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA query_only=ON")

    return engine


def _make_read_only_mysql(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _only_read(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")


def _cut(connection: Any) -> None:
    """End what a connection is doing, from another thread."""
    with suppress(Exception):
        if hasattr(connection, "interrupt"):  # sqlite3
            connection.interrupt()
        elif hasattr(connection, "fileno"):  # psycopg: the waiting thread sees the end of the stream
            with socket.socket(fileno=os.dup(connection.fileno())) as twin:
                twin.shutdown(socket.SHUT_RDWR)
        else:  # pymysql; its own read timeout ends it too
            connection._sock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001 - it has no other way
