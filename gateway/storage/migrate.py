"""Brings a store's tables to this version (Alembic).

Two stores, each with its own history: ``node`` (audit log, replay guard, evidence) and
``records`` (the registry). On SQLite they are two files, so that a long import never holds the
lock that an answer needs; on PostgreSQL they may share one database.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import StorageError
from gateway.storage.engine import database_name, reading, writing

if TYPE_CHECKING:
    from alembic.config import Config

Store = Literal["node", "records"]
HEADS: dict[Store, str] = {"node": "0016", "records": "0010"}
"""The newest migration of each store: what this version needs."""

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(engine: Engine, store: Store) -> None:
    """Create or migrate all tables of ``store``. Doing it again changes nothing.

    Raises:
        StorageError: the database cannot be written.
    """
    if _version(engine, store) == HEADS[store]:
        return
    from alembic import command  # here: reading it takes a fifth of the time of a short command

    config = _config(store)
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current(engine: Engine, store: Store) -> None:
    """Refuse to work on tables of another version.

    Raises:
        StorageError: tables are missing, older or newer than this version's.
    """
    found, wanted = _version(engine, store), HEADS[store]
    if found != wanted:
        raise StorageError(
            f"database {database_name(engine)}: its {store} tables are of version "
            f"{found or 'none'}, this program needs {wanted}.",
            remedy="Run `credit-gateway init` on the node again: it migrates and keeps what is there.",
        )


def version_table(store: Store) -> str:
    """Name of the table in which Alembic notes the version of ``store``."""
    return f"schema_version_{store}"


def _version(engine: Engine, store: Store) -> str | None:
    """Return what Alembic noted, or ``None`` when there are no tables."""
    table = version_table(store)
    with reading(engine) as connection:
        try:
            if not inspect(connection).has_table(table):
                return None
            return connection.execute(text(f"SELECT version_num FROM {table}")).scalar()  # noqa: S608 - our own name
        except SQLAlchemyError as error:
            raise StorageError(f"database {database_name(engine)}: its version cannot be read.") from error


def _config(store: Store) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS / store))
    config.attributes["version_table"] = version_table(store)
    return config
