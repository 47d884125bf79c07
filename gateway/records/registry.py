"""The node's own registry: records under subject tokens, translated when they were imported."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from gateway.records.source import StoredRecord
from gateway.storage import registry_rows
from gateway.storage.driver_sql import HeldConnection
from gateway.storage.engine import reading
from gateway.storage.node_tables import Database


class KindCount(NamedTuple):
    """How much is held of one kind."""

    kind: int
    records: int
    learners: int


class Registry:
    """Records in the node's database; implements :class:`gateway.records.source.RecordSource`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._reads = HeldConnection(database)

    def find(self, subject_tokens: Sequence[bytes], kinds: Collection[int]) -> list[list[StoredRecord]]:
        """See :meth:`gateway.records.source.RecordSource.find`."""
        bits = sum(1 << kind for kind in set(kinds))
        with self._reads.reading() as connection:
            return [
                [
                    StoredRecord(row[0], row[1], bytes(row[2]), bytes(row[3]), bytes(row[4]))
                    for row in registry_rows.find_records(connection, token, bits)
                ]
                for token in subject_tokens
            ]

    def count(self) -> int:
        """Return the number of records. Raises ``StorageError``."""
        with reading(self.database) as connection:
            return registry_rows.count_records(connection)

    def count_by_kind(self) -> list[KindCount]:
        """Return how much is held of each kind. Raises ``StorageError``."""
        with reading(self.database) as connection:
            return [KindCount(*row) for row in registry_rows.count_by_kind(connection)]

    def stream(self) -> Iterator[tuple[str, int, bytes, bytes]]:
        """Yield (record id, kind, translated, original) of every record, in constant memory."""
        with reading(self.database) as connection:
            for row in registry_rows.stream_records(connection):
                yield row[1], row[2], bytes(row[3]), bytes(row[4])

    def close(self) -> None:
        """Give back the connection that is held for reads. The database belongs to the caller."""
        self._reads.close()
