"""Which of a node's processes does what only one may do at a time.

On PostgreSQL that is whoever holds an advisory lock of the node's database. The server frees it when
the session ends, so that another process takes over when the holder dies or is cut off. On SQLite
there is one process, and it leads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from hashlib import sha256
from threading import Lock

from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import AlreadyRunningError, StorageError
from gateway.storage.driver_sql import execute, fetch_one
from gateway.storage.engine import is_sqlite_database, reading
from gateway.storage.node_tables import Database, Transaction

_LINK = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3"
"""The server notices within about ten seconds that a leader's host is gone."""


SERVING = "serving"
"""The duty that every process holds, shared, while it serves."""


class Leadership:
    """This process's candidacy for one duty; taken up and confirmed by :meth:`is_held`.

    With ``shared`` any number of processes may hold it at once, but none of them beside one that holds
    it alone.
    """

    def __init__(self, database: Database, duty: str, *, shared: bool = False) -> None:
        self._database = database
        self._key = int.from_bytes(sha256(f"credit-gateway {duty}".encode()).digest()[:8], "big", signed=True)
        self._statement = f"SELECT pg_try_advisory_lock{'_shared' if shared else ''}(?)"
        self._is_alone = is_sqlite_database(database)
        self._lock = Lock()
        self._session: tuple[AbstractContextManager[Transaction], Transaction] | None = None

    def is_held(self) -> bool:
        """Whether this process leads now: it does already, or nobody else does.

        A database that cannot be reached makes nobody the leader.
        """
        if self._is_alone:
            return True
        with self._lock:
            try:
                return self._confirm() if self._session is not None else self._try()
            except (StorageError, SQLAlchemyError):
                self._session = None
                return False

    def release(self) -> None:
        """Let another process lead."""
        with self._lock:
            if self._session is not None:
                session, connection = self._session
                self._session = None
                with suppress(SQLAlchemyError):  # a lost session holds nothing
                    # At once: the server ends the session of a closed connection a little later.
                    execute(connection, "SELECT pg_advisory_unlock_all()")
                connection.invalidate()
                session.__exit__(None, None, None)

    def _confirm(self) -> bool:
        assert self._session is not None
        session, connection = self._session
        try:
            execute(connection, "SELECT 1")
        except SQLAlchemyError:
            self._session = None
            connection.invalidate()
            session.__exit__(None, None, None)
            return False
        return True

    def _try(self) -> bool:
        session = reading(self._database)
        connection = session.__enter__()
        row = fetch_one(connection, self._statement, (self._key,))
        if row is None or not row[0]:
            session.__exit__(None, None, None)
            return False
        execute(connection, _LINK)
        self._session = session, connection
        return True


@contextmanager
def served_by_nobody(database: Database) -> Iterator[None]:
    """Keep the processes of this node, on whatever host, from serving meanwhile.

    Raises:
        AlreadyRunningError: one serves.
    """
    alone = Leadership(database, SERVING)
    if not alone.is_held():
        raise AlreadyRunningError(
            "another host serves this node, or its database cannot be reached.",
            remedy="Stop the node on every host first.",
        )
    try:
        yield
    finally:
        alone.release()
