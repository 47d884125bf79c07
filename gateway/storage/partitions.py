"""Evidence by the month in which its time is over, on PostgreSQL.

What retention erases lies in three tables: ciphertext, its keys, and the index of whom they are about.
Each is divided by ``expires_at`` into a partition a month (UTC), so that what is over is dropped as a
whole: at once, and gone from the disk, instead of row by row. What is kept for ever (entries, nodes,
checkpoints, signed bytes) is not divided: nothing would be gained by it.

Rows of a month that has no partition yet go into the default one; :func:`make_month` makes it and
takes over what lies there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.clock import from_unix_ms, unix_ms
from gateway.storage.driver_sql import execute, fetch_all, fetch_one, is_sqlite
from gateway.storage.node_tables import Transaction

TABLES = ("evidence", "evidence_key", "subject_index")
MONTHS_AHEAD = 3
"""How many months beyond the last one needed have partitions already."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """One calendar month, UTC."""

    year: int
    month: int

    @staticmethod
    def of(instant_ms: int) -> Month:
        """Return the month in which ``instant_ms`` lies."""
        instant = from_unix_ms(instant_ms)
        return Month(instant.year, instant.month)

    def plus(self, months: int) -> Month:
        """Return the month that is ``months`` later."""
        count = self.year * 12 + self.month - 1 + months
        return Month(count // 12, count % 12 + 1)

    @property
    def start_ms(self) -> int:
        """Its first instant, milliseconds."""
        return unix_ms(datetime(self.year, self.month, 1, tzinfo=UTC))

    @property
    def end_ms(self) -> int:
        """The first instant after it."""
        return self.plus(1).start_ms

    def partition_of(self, table: str) -> str:
        """Return the name of its partition."""
        return f"{table}_{self.year:04}_{self.month:02}"


def list_missing(transaction: Transaction, needed_ms: int) -> list[Month]:
    """Return the months without partitions: those of rows in the default partition, and from that of
    ``needed_ms`` to ``MONTHS_AHEAD`` later. None on SQLite.
    """
    if is_sqlite(transaction):
        return []
    last = Month.of(needed_ms)
    first = last
    row = fetch_one(transaction, "SELECT min(expires_at) FROM evidence_key_default")
    if row is not None and row[0] is not None:
        first = min(first, Month.of(row[0]))
    return _missing(transaction, first, last.plus(MONTHS_AHEAD))


def make_partitions(transaction: Transaction, first_ms: int, last_ms: int) -> None:
    """Make what is missing for rows that expire from ``first_ms`` to ``last_ms``; nothing on SQLite."""
    if not is_sqlite(transaction):
        for month in _missing(transaction, Month.of(first_ms), Month.of(last_ms)):
            make_month(transaction, month)


def _missing(transaction: Transaction, first: Month, last: Month) -> list[Month]:
    present = set(list_months(transaction))
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    return [month for month in (first.plus(at) for at in range(count)) if month not in present]


def make_month(transaction: Transaction, month: Month) -> None:
    """Make the partitions of ``month``, with what the default partitions hold of it."""
    for table in TABLES:
        _make(transaction, table, month)


def list_months(transaction: Transaction) -> list[Month]:
    """Return the months that have partitions, the earliest first."""
    rows = fetch_all(
        transaction,
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'evidence_key'::regclass AND c.relname LIKE ? ORDER BY c.relname",
        (r"evidence\_key\_2%",),
    )
    return [Month(int(name[-7:-3]), int(name[-2:])) for (name,) in rows]


def list_over(transaction: Transaction, before_ms: int) -> list[Month]:
    """Return the months whose rows had all expired before ``before_ms``; none on SQLite."""
    if is_sqlite(transaction):
        return []
    return [month for month in list_months(transaction) if month.end_ms <= before_ms]


def count_parts(transaction: Transaction, month: Month) -> int:
    """Return how many parts of openings lie in the partitions of ``month``."""
    row = fetch_one(transaction, f"SELECT count(*) FROM {month.partition_of('evidence_key')}")  # noqa: S608
    return 0 if row is None else int(row[0])


def drop_month(transaction: Transaction, month: Month) -> None:
    """Drop the partitions of ``month``: its rows are gone, and their bytes leave the disk at the commit."""
    for table in TABLES:
        execute(transaction, f"DROP TABLE {month.partition_of(table)}")


def tables_of(transaction: Transaction, expires_at: Collection[int]) -> list[str]:
    """Return the tables in which evidence that expires then lies."""
    if is_sqlite(transaction):
        return []
    months = set(map(Month.of, expires_at)) & set(list_months(transaction))
    names = [month.partition_of(table) for month in sorted(months) for table in TABLES]
    return names + [f"{table}_default" for table in TABLES]


def _make(transaction: Transaction, table: str, month: Month) -> None:
    """Make one partition with what the default one holds of it."""
    name = month.partition_of(table)
    start, end = month.start_ms, month.end_ms
    execute(transaction, f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
    execute(
        transaction,
        f"WITH moved AS (DELETE FROM {table}_default "  # noqa: S608
        f"WHERE expires_at >= {start} AND expires_at < {end} RETURNING *) "
        f"INSERT INTO {name} SELECT * FROM moved",
    )
    execute(transaction, f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})")
