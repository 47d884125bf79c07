"""The connection of the exchange path, when the whole database server dies in the middle and comes back."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.errors import StorageError
from gateway.storage.driver_sql import HeldConnection, execute, execute_many, fetch_one
from gateway.storage.engine import open_engine, writing
from gateway.storage.node_tables import Transaction
from tests.chaos.server import PostgresServer


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of one's own, in a folder that its user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="credit-gateway-crash-"))
    folder.chmod(0o755)
    made = PostgresServer(folder / "postgresql")
    made.create("node")
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def held(server: PostgresServer) -> Iterator[HeldConnection]:
    database = open_engine(server.url("node"))
    with writing(database) as transaction:
        execute(transaction, "DROP TABLE IF EXISTS one")
        execute(transaction, "CREATE TABLE one (x bigint)")
    made = HeldConnection(database)
    yield made
    made.close()
    database.dispose()


def query(connection: Transaction) -> None:
    fetch_one(connection, "SELECT 1")


def write(connection: Transaction) -> None:
    execute(connection, "INSERT INTO one VALUES (?)", (1,))


def put_off(connection: Transaction) -> None:
    """Sent when the transaction is committed."""
    execute_many(connection, "INSERT INTO one (x) VALUES (?)", [(1,)])


def nothing(_connection: Transaction) -> None:
    """The next that is sent is COMMIT."""


Step = Callable[[Transaction], None]


@pytest.mark.parametrize(
    ("before", "after"),
    [(write, query), (write, put_off), (put_off, nothing), (write, nothing)],
    ids=["statement", "put-off", "put-off-before", "commit"],
)
def test_a_crash_within_a_transaction_leaves_nothing_of_it_and_the_next_one_works(
    server: PostgresServer, held: HeldConnection, before: Step, after: Step
) -> None:
    def write_on() -> None:
        with held.writing() as connection:
            before(connection)
            server.stop("immediate")
            after(connection)

    with pytest.raises(StorageError):
        write_on()
    with pytest.raises(StorageError), held.writing():
        raise AssertionError("there is no server")
    server.start()
    with held.writing() as connection:
        assert fetch_one(connection, "SELECT count(*) FROM one") == (0,)
        put_off(connection)
    with held.reading() as connection:
        assert fetch_one(connection, "SELECT count(*) FROM one") == (1,)
        assert fetch_one(connection, "SHOW lock_timeout") == ("10s",)


@pytest.mark.parametrize("way", ["reading", "writing"])
def test_an_idle_connection_survives_a_crash(
    server: PostgresServer, held: HeldConnection, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.driver_sql.IDLE_S", 0.0)
    with getattr(held, way)() as connection:
        query(connection)
    server.stop("immediate")
    for _ in range(2):
        with pytest.raises(StorageError), getattr(held, way)():
            raise AssertionError("there is no server")
    server.start()
    with getattr(held, way)() as connection:
        assert fetch_one(connection, "SHOW lock_timeout") == ("10s",)
