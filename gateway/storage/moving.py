"""Moves a store from SQLite to PostgreSQL, row by row as they are, so that every proof stays what it was.

Each table is copied in the order of its key, a batch a transaction, in which the target also notes how
far it is. So a move that was interrupted goes on where it stopped, and nothing is there twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, Row, Table, func, inspect, select, text, tuple_

from gateway.errors import StorageError
from gateway.storage.engine import database_name, reading, writing
from gateway.storage.migrate import Store, require_current, upgrade
from gateway.storage.node_tables import EVIDENCE_KEY, NODE_METADATA
from gateway.storage.partitions import make_partitions
from gateway.storage.record_tables import RECORD_METADATA

BATCH_ROWS = 10_000
BATCH_BYTES = 8 * 1024 * 1024
"""Most of one transaction: memory stays constant whatever rows hold."""

MARK = "storage_move"
"""Table in the target, while it is being filled: what has been copied, from which source."""

METADATA: dict[Store, MetaData] = {"node": NODE_METADATA, "records": RECORD_METADATA}

Progress = Callable[[str, int, int], None]
"""Takes a table, rows copied of it and rows in all."""


@dataclass(frozen=True)
class MovingStore:
    """One store on its way."""

    store: Store
    source: Engine
    target: Engine

    @property
    def tables(self) -> Sequence[Table]:
        """The store's tables; one that refers to another comes after it."""
        return METADATA[self.store].sorted_tables

    def claim(self) -> None:
        """Make the target's tables, unless an earlier run did.

        Raises:
            StorageError: the target holds anything that this move did not put there, or the source has
                changed since the move began, or is of another version.
        """
        require_current(self.source, self.store)
        state = self._state()
        with writing(self.target) as connection:
            present = set(inspect(connection).get_table_names())
            if present and MARK not in present:
                raise StorageError(
                    f"database {database_name(self.target)} is not empty: it holds {min(present)!r} "
                    f"and {len(present) - 1} more tables.",
                    remedy="Move into a new, empty database.",
                )
            connection.execute(text(_MAKE_MARK))
            begun = connection.execute(
                text(f"SELECT last_key FROM {MARK} WHERE store = :store AND table_name = ''"),  # noqa: S608
                {"store": self.store},
            ).scalar()
            if begun is not None and begun != state:
                raise StorageError(
                    f"database {database_name(self.target)} holds the beginning of another move: "
                    "of another node, or the node has run since.",
                    remedy="Drop it, make it again empty, and repeat the command with the node stopped.",
                )
            if begun is None:
                _note(connection, self.store, "", state, 0)
        upgrade(self.target, self.store)

    def copy(self, progress: Progress) -> dict[str, int]:
        """Copy what the target does not have yet; return rows by table. Raises ``StorageError``."""
        if self.store == "node":
            self._make_partitions()
        return {table.name: self._copy_table(table, progress) for table in self.tables}

    def compare(self) -> None:
        """Hold the numbers of rows against one another. Raises ``StorageError``."""
        with reading(self.source) as source, reading(self.target) as target:
            for table in self.tables:
                here, there = _count(source, table), _count(target, table)
                if here != there:
                    raise StorageError(
                        f"table {table.name}: {here} rows in {database_name(self.source)}, "
                        f"{there} in {database_name(self.target)}.",
                        remedy="Drop the target, make it again empty, and repeat the command.",
                    )

    def _state(self) -> str:
        """What tells whether the source is the one that the move began with."""
        with reading(self.source) as connection:
            counts = {table.name: _count(connection, table) for table in self.tables}
            heads = []
            if self.store == "node":
                heads = [
                    [row[0], row[1].hex()]
                    for row in connection.execute(text("SELECT origin, root FROM audit_tree ORDER BY origin"))
                ]
        return json.dumps([counts, heads])

    def _make_partitions(self) -> None:
        with reading(self.source) as connection:
            expires_at = EVIDENCE_KEY.c.expires_at
            first, last = connection.execute(select(func.min(expires_at), func.max(expires_at))).one()
        if first is not None:
            with writing(self.target) as connection:
                make_partitions(connection, first, last)

    def _copy_table(self, table: Table, progress: Progress) -> int:
        with reading(self.target) as connection:
            last, done = _noted(connection, self.store, table.name)
        with reading(self.source) as source:
            total = _count(source, table)
            progress(table.name, done, total)
            while batch := list(_batch(source, table, last)):
                last = [getattr(batch[-1], column.name) for column in table.primary_key]
                done += len(batch)
                with writing(self.target) as target:
                    _insert(target, table, batch)
                    _note(target, self.store, table.name, _encoded(last), done)
                progress(table.name, done, total)
        with writing(self.target) as target:
            _set_sequence(target, table)
        return done


def end_move(target: Engine) -> None:
    """Take away the mark of the move; from here on the target is a store like any other."""
    with writing(target) as connection:
        connection.execute(text(f"DROP TABLE {MARK}"))
    with reading(target) as connection:
        connection.exec_driver_sql("ANALYZE")


_MAKE_MARK = (
    f"CREATE TABLE IF NOT EXISTS {MARK} (store TEXT NOT NULL, table_name TEXT NOT NULL, "
    "last_key TEXT NOT NULL, done BIGINT NOT NULL, PRIMARY KEY (store, table_name))"
)


def _note(connection: Connection, store: Store, table: str, last_key: str, done: int) -> None:
    connection.execute(
        text(
            f"INSERT INTO {MARK} (store, table_name, last_key, done) "  # noqa: S608
            "VALUES (:store, :table, :last_key, :done) ON CONFLICT (store, table_name) "
            "DO UPDATE SET last_key = excluded.last_key, done = excluded.done"
        ),
        {"store": store, "table": table, "last_key": last_key, "done": done},
    )


def _noted(connection: Connection, store: Store, table: str) -> tuple[list[Any] | None, int]:
    row = connection.execute(
        text(f"SELECT last_key, done FROM {MARK} WHERE store = :store AND table_name = :table"),  # noqa: S608
        {"store": store, "table": table},
    ).one_or_none()
    return (None, 0) if row is None else (_decoded(row[0]), int(row[1]))


def _encoded(key: Sequence[Any]) -> str:
    return json.dumps([{"hex": part.hex()} if isinstance(part, bytes) else part for part in key])


def _decoded(text_: str) -> list[Any]:
    return [bytes.fromhex(part["hex"]) if isinstance(part, dict) else part for part in json.loads(text_)]


def _batch(source: Connection, table: Table, last: Sequence[Any] | None) -> Iterator[Row[Any]]:
    """Yield the rows after the key ``last``, up to the limits of one transaction."""
    key = list(table.primary_key)
    query = select(table).order_by(*key).limit(BATCH_ROWS)
    if last is not None:
        query = query.where(tuple_(*key) > tuple_(*last) if len(key) > 1 else key[0] > last[0])
    size_bytes = 0
    with source.execute(query) as rows:
        for row in rows:
            yield row
            size_bytes += sum(len(value) for value in row if isinstance(value, bytes | str))
            if size_bytes >= BATCH_BYTES:
                return


def _insert(target: Connection, table: Table, rows: Sequence[Row[Any]]) -> None:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    cursor: Any = target.connection.cursor()
    try:
        with cursor.copy(f'COPY "{table.name}" ({columns}) FROM STDIN') as copying:
            for row in rows:
                copying.write_row(tuple(row))
    finally:
        cursor.close()


def _set_sequence(target: Connection, table: Table) -> None:
    """Let ids that the target gives go on after those that were copied."""
    column = table.autoincrement_column
    if column is not None:
        target.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'), "  # noqa: S608
                f'greatest((SELECT max("{column.name}") FROM "{table.name}"), 1))'
            )
        )


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
