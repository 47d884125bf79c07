"""Empty tables for a test's database, in a tenth of Alembic's time.

The first new database of each engine and store is made by Alembic, and what that sent to the
database is kept; later ones are sent the same statements. They hold the same tables, and most
tests need some.
"""

from __future__ import annotations

from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, inspect

_migrate = command.upgrade
_sent: dict[tuple[str, str], list[tuple[str, Any]]] = {}


def install(patch: pytest.MonkeyPatch) -> None:
    """Let ``storage.migrate.upgrade`` make new tables this way."""
    patch.setattr(command, "upgrade", _upgrade)


def _upgrade(config: Config, revision: str) -> None:
    connection: Connection = config.attributes["connection"]
    version_table = config.attributes["version_table"]
    if revision != "head" or inspect(connection).has_table(version_table):
        _migrate(config, revision)
        return
    key = (connection.dialect.name, version_table)
    if key not in _sent:
        _sent[key] = _record(config, connection)
        return
    for statement, parameters in _sent[key]:
        connection.exec_driver_sql(statement, parameters)


def _record(config: Config, connection: Connection) -> list[tuple[str, Any]]:
    sent: list[tuple[str, Any]] = []

    def keep(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.lstrip().startswith(("SELECT", "PRAGMA")):
            sent.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", keep)
    try:
        _migrate(config, "head")
    finally:
        event.remove(connection, "before_cursor_execute", keep)
    return sent
