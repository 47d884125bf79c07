"""The connection of the exchange path, when the server ends sessions at the worst moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from gateway.errors import RefusedError, StorageError
from gateway.storage.driver_sql import HeldConnection, execute, fetch_one
from gateway.storage.engine import open_engine, reading
from gateway.storage.node_tables import Database, Transaction
from tests.postgres import fresh_database


@pytest.fixture
def database() -> Iterator[Database]:
    with fresh_database() as url:
        engine = open_engine(url)
        yield engine
        engine.dispose()


def use_after_its_end(database: Database, connection: Transaction) -> None:
    """The server ends the session; the next statement notices."""
    (pid,) = fetch_one(connection, "SELECT pg_backend_pid()") or ()
    with reading(database) as other:
        fetch_one(other, "SELECT pg_terminate_backend(?, 5000)", (pid,))
    fetch_one(connection, "SELECT 1")


@pytest.mark.parametrize("way", ["reading", "writing"])
def test_a_session_that_ends_before_its_first_statement_is_a_storage_error(
    database: Database, way: str
) -> None:
    """A session that was never given its limits is not used either: it could hold the log's lock for ever."""
    others = open_engine(database.url)
    held = HeldConnection(database)

    def end_it(connection: Any, *_: object) -> None:
        with others.connect() as other:
            pid = connection.info.backend_pid
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

    event.listen(database, "checkout", end_it)
    with pytest.raises(StorageError), getattr(held, way)():
        raise AssertionError("it was lent out")
    event.remove(database, "checkout", end_it)
    with getattr(held, way)() as connection:
        assert fetch_one(connection, "SHOW lock_timeout") == ("10s",)
    held.close()
    others.dispose()


@pytest.mark.parametrize("way", ["reading", "writing"])
def test_a_held_session_that_ends_in_the_middle_is_a_storage_error(database: Database, way: str) -> None:
    held = HeldConnection(database)
    with pytest.raises(StorageError), getattr(held, way)() as connection:
        use_after_its_end(database, connection)
    with getattr(held, way)() as connection:
        assert fetch_one(connection, "SELECT 1") == (1,)
    held.close()


def test_a_session_that_ends_in_the_middle_leaves_no_traceback(
    database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    """The pool would write one, with the statement in it, when it cannot reset the connection."""
    with pytest.raises(StorageError), reading(database) as connection:
        use_after_its_end(database, connection)
    with reading(database) as connection:
        assert fetch_one(connection, "SELECT 1") == (1,)
    assert capfd.readouterr().err == ""


def test_a_session_that_ends_just_before_it_is_given_back_leaves_no_traceback(
    database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    with reading(database) as connection:
        execute(connection, "BEGIN")
        (pid,) = fetch_one(connection, "SELECT pg_backend_pid()") or ()
        with reading(database) as other:
            fetch_one(other, "SELECT pg_terminate_backend(?, 5000)", (pid,))
    with reading(database) as connection:
        assert fetch_one(connection, "SELECT 1") == (1,)
    assert capfd.readouterr().err == ""


def test_a_lost_session_whose_place_is_taken_meanwhile_is_a_storage_error(database: Database) -> None:
    held = HeldConnection(database)

    def write_and_lose_it() -> None:
        with held.writing() as connection:
            try:
                use_after_its_end(database, connection)
            except DBAPIError:
                lent.enter_context(reading(database))  # the pool opens a new session in the lost one's place
                lent.enter_context(reading(database))
                raise

    with ExitStack() as lent, pytest.raises(StorageError):
        write_and_lose_it()
    with held.writing() as connection:
        assert fetch_one(connection, "SHOW lock_timeout") == ("10s",)
    held.close()


@pytest.mark.parametrize("further", [0, 1])
def test_what_follows_a_lost_session_is_not_committed_without_what_came_before(
    database: Database, further: int
) -> None:
    held = HeldConnection(database)
    with held.writing() as connection:
        execute(connection, "CREATE TABLE one (x bigint)")

    def write_on() -> None:
        with held.writing() as connection:
            execute(connection, "INSERT INTO one VALUES (1)")
            with suppress(DBAPIError):
                use_after_its_end(database, connection)
            for _ in range(further):
                execute(connection, "INSERT INTO one VALUES (2)")

    with pytest.raises(StorageError):
        write_on()
    with held.reading() as connection:
        assert fetch_one(connection, "SELECT count(*) FROM one") == (0,)
    held.close()


def test_another_error_after_a_lost_session_is_told_and_the_next_session_has_its_limits(
    database: Database,
) -> None:
    held = HeldConnection(database)

    def refuse_after_its_end() -> None:
        with held.writing() as connection:
            with suppress(DBAPIError):
                use_after_its_end(database, connection)
            raise RefusedError("AUDIT_UNAVAILABLE", "for another reason.")

    with pytest.raises(RefusedError):
        refuse_after_its_end()
    with held.writing() as connection:
        assert fetch_one(connection, "SHOW lock_timeout") == ("10s",)
    held.close()
