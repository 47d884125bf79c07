"""Rows of the audit log: the tree, its entries, nodes and checkpoints.

Nothing here knows what a leaf means or how a hash is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.errors import AuditLogError
from gateway.storage.driver_sql import Row, execute, execute_many, fetch_all, fetch_one, is_sqlite
from gateway.storage.node_tables import Transaction

PAGE_ROWS = 5_000
"""How many rows a stream holds in memory at once."""

HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class TreeRow:
    """The head of the log as the database has it."""

    size: int
    root: bytes
    edge: tuple[bytes, ...]
    logged_at: int
    """Of the newest entry; 0 when there is none."""
    halted: str | None = None
    """PostgreSQL: why no process appends any more, if so (:data:`HALTED`)."""


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry as stored."""

    idx: int
    leaf: bytes
    leaf_hash: bytes
    exchange_id: bytes
    peer: str
    logged_at: int


def read_tree(transaction: Transaction, origin: str, *, for_update: bool = False) -> TreeRow | None:
    """Return the tree row; with ``for_update`` no other process appends until the transaction ends.

    On SQLite a write transaction excludes other writers from its beginning.
    """
    if is_sqlite(transaction):
        statement = "SELECT size, root, edge, logged_at, NULL FROM audit_tree WHERE origin = ?"
    else:
        statement = _SHARED_TREE_LOCKED if for_update else _SHARED_TREE
    row = fetch_one(transaction, statement, (origin,))
    if row is None:
        return None
    edge = _bytes(row[2])
    parts = tuple(edge[at : at + HASH_BYTES] for at in range(0, len(edge), HASH_BYTES))
    return TreeRow(_integer(row[0]), _bytes(row[1]), parts, _integer(row[3]), row[4])


HALTED = "log_halted"
"""Fact: why nothing is appended to a log; its name is followed by a blank and the log's origin."""
_SHARED_TREE = (
    "SELECT size, root, edge, logged_at, "  # noqa: S608
    f"(SELECT value FROM node_fact WHERE name = '{HALTED} ' || origin) FROM audit_tree WHERE origin = ?"
)
_SHARED_TREE_LOCKED = f"{_SHARED_TREE} FOR UPDATE"


def list_origins(transaction: Transaction) -> list[str]:
    """Return the names of the logs in this store; one, unless something is wrong."""
    return [row[0] for row in fetch_all(transaction, "SELECT origin FROM audit_tree ORDER BY origin")]


def insert_tree(transaction: Transaction, origin: str, root: bytes) -> bool:
    """Begin an empty log unless it is there; return whether it was begun."""
    statement = (
        "INSERT INTO audit_tree (origin, size, root, edge, logged_at) VALUES (?, 0, ?, ?, 0) "
        "ON CONFLICT DO NOTHING"
    )
    return execute(transaction, statement, (origin, root, b"")) == 1


def update_tree(transaction: Transaction, origin: str, tree: TreeRow) -> None:
    """Set the head of the log."""
    execute_many(
        transaction,
        "UPDATE audit_tree SET size = ?, root = ?, edge = ?, logged_at = ? WHERE origin = ?",
        [(tree.size, tree.root, b"".join(tree.edge), tree.logged_at, origin)],
    )


def insert_entries(
    transaction: Transaction, rows: Sequence[tuple[int, bytes, bytes, bytes, str, int]]
) -> None:
    """Insert (idx, leaf, leaf_hash, exchange_id, peer, logged_at)."""
    execute_many(
        transaction,
        "INSERT INTO audit_entry (idx, leaf, leaf_hash, exchange_id, peer, logged_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        rows,
    )


def insert_nodes(transaction: Transaction, first: int, hashes: Sequence[bytes]) -> None:
    """Insert complete subtrees in the order in which they came into being, from position ``first``."""
    execute_many(
        transaction,
        "INSERT INTO audit_node (position, hash) VALUES (?, ?)",
        list(enumerate(hashes, first)),
    )


def insert_checkpoint(transaction: Transaction, size: int, note: str) -> None:
    """Keep a signed checkpoint."""
    execute_many(transaction, "INSERT INTO audit_checkpoint (size, note) VALUES (?, ?)", [(size, note)])


def read_checkpoint(transaction: Transaction, size_max: int | None = None) -> tuple[int, str] | None:
    """Return size and note of the newest checkpoint, of at most ``size_max`` entries if given."""
    bound, values = ("", ()) if size_max is None else (" WHERE size <= ?", (size_max,))
    row = fetch_one(
        transaction,
        f"SELECT size, note FROM audit_checkpoint{bound} ORDER BY size DESC LIMIT 1",  # noqa: S608
        values,
    )
    return None if row is None else (int(row[0]), str(row[1]))


def count_checkpoints(transaction: Transaction) -> int:
    """Return how many checkpoints are stored."""
    row = fetch_one(transaction, "SELECT count(*) FROM audit_checkpoint")
    return 0 if row is None else int(row[0])


def node_position(level: int, idx: int) -> int:
    """Return where a complete subtree of level 1 or above stands in ``audit_node``, from 0.

    Subtrees are numbered as they come into being: the leaf L completes one for each trailing one
    bit of L, and the leaves before it completed L - popcount(L). So the table only ever grows at
    its end, which costs one page a group instead of one for each level.
    """
    last_leaf = (idx + 1 << level) - 1
    return last_leaf - last_leaf.bit_count() + level - 1


def read_hash(transaction: Transaction, level: int, idx: int) -> bytes | None:
    """Return the stored hash of a complete subtree, or of a leaf (level 0)."""
    if level == 0:
        row = fetch_one(transaction, "SELECT leaf_hash FROM audit_entry WHERE idx = ?", (idx,))
    else:
        statement = "SELECT hash FROM audit_node WHERE position = ?"
        row = fetch_one(transaction, statement, (node_position(level, idx),))
    return None if row is None else _bytes(row[0])


def read_last_index(transaction: Transaction) -> int:
    """Return the largest index of an entry, -1 when there is none."""
    row = fetch_one(transaction, "SELECT max(idx) FROM audit_entry")
    return -1 if row is None or row[0] is None else int(row[0])


_ENTRY = "SELECT idx, leaf, leaf_hash, exchange_id, peer, logged_at FROM audit_entry"


def read_entries_of_exchange(transaction: Transaction, exchange_id: bytes) -> list[EntryRow]:
    """Return the entries with this exchange id, the oldest first."""
    rows = fetch_all(transaction, f"{_ENTRY} WHERE exchange_id = ? ORDER BY idx", (exchange_id,))
    return [_entry(row) for row in rows]


def read_entries_of_prefix(transaction: Transaction, prefix: bytes, count: int) -> list[EntryRow]:
    """Return up to ``count`` entries whose exchange id begins with ``prefix``, the newest first."""
    statement = f"{_ENTRY} WHERE exchange_id >= ? AND exchange_id <= ? ORDER BY idx DESC LIMIT ?"
    rows = fetch_all(transaction, statement, (prefix, prefix + b"\xff" * 16, count))
    return [_entry(row) for row in rows]


def known_exchanges(transaction: Transaction, exchange_ids: Sequence[bytes]) -> set[bytes]:
    """Return those of ``exchange_ids`` that an entry has."""
    return set(_of_exchanges(transaction, "exchange_id", exchange_ids))


def read_leaves_of_exchanges(transaction: Transaction, exchange_ids: Sequence[bytes]) -> list[bytes]:
    """Return the leaves of all entries with one of these exchange ids, the oldest first."""
    return _of_exchanges(transaction, "leaf", exchange_ids)


def _of_exchanges(transaction: Transaction, column: str, exchange_ids: Sequence[bytes]) -> list[bytes]:
    if not exchange_ids:
        return []
    is_one_by_one = is_sqlite(transaction)
    among = f"IN ({', '.join('?' * len(exchange_ids))})" if is_one_by_one else "= ANY(%b)"
    statement = f"SELECT {column} FROM audit_entry WHERE exchange_id {among} ORDER BY idx"  # noqa: S608
    values = tuple(exchange_ids) if is_one_by_one else (list(exchange_ids),)
    return [_bytes(row[0]) for row in fetch_all(transaction, statement, values)]


def read_entries_before(transaction: Transaction, idx: int, count: int) -> list[EntryRow]:
    """Return up to ``count`` entries below ``idx``, the newest first."""
    rows = fetch_all(transaction, f"{_ENTRY} WHERE idx < ? ORDER BY idx DESC LIMIT ?", (idx, count))
    return [_entry(row) for row in rows]


def read_entries_with_before(transaction: Transaction, peer: str, idx: int, count: int) -> list[EntryRow]:
    """Return up to ``count`` entries of exchanges with ``peer`` below ``idx``, the newest first."""
    statement = f"{_ENTRY} WHERE peer = ? AND idx < ? ORDER BY idx DESC LIMIT ?"
    return [_entry(row) for row in fetch_all(transaction, statement, (peer, idx, count))]


def stream_entries(transaction: Transaction, start: int, end: int) -> Iterator[Row]:
    """Yield (idx, leaf, leaf_hash, exchange_id, peer, logged_at) for start <= idx < end, in order."""
    statement = f"{_ENTRY} WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT ?"
    while rows := fetch_all(transaction, statement, (start, end, PAGE_ROWS)):
        yield from rows
        start = rows[-1][0] + 1


def stream_nodes(transaction: Transaction, start: int, end: int) -> Iterator[Row]:
    """Yield (position, hash) of the nodes with start <= position < end, in order."""
    statement = (
        "SELECT position, hash FROM audit_node WHERE position > ? AND position < ? ORDER BY position LIMIT ?"
    )
    last = start - 1
    while rows := fetch_all(transaction, statement, (last, end, PAGE_ROWS)):
        yield from rows
        last = rows[-1][0]


def stream_checkpoints(transaction: Transaction, after: int) -> Iterator[tuple[int, str]]:
    """Yield (size, note) of every checkpoint of more than ``after`` entries, the smallest first."""
    statement = "SELECT size, note FROM audit_checkpoint WHERE size > ? ORDER BY size LIMIT ?"
    last = after
    while rows := fetch_all(transaction, statement, (last, PAGE_ROWS)):
        yield from ((int(row[0]), str(row[1])) for row in rows)
        last = rows[-1][0]


def rename_log(transaction: Transaction, origin: str, new_origin: str, size: int) -> None:
    """Close the log's name ``origin`` at ``size`` entries and go on as ``new_origin``."""
    execute(transaction, "INSERT INTO audit_origin (since_size, origin) VALUES (?, ?)", (size, origin))
    execute(transaction, "UPDATE audit_tree SET origin = ? WHERE origin = ?", (new_origin, origin))


def read_closed_origins(transaction: Transaction) -> list[tuple[int, str]]:
    """Return (size, origin) of each name under which the log was closed, the earliest first."""
    rows = fetch_all(transaction, "SELECT since_size, origin FROM audit_origin ORDER BY since_size")
    return [(int(row[0]), str(row[1])) for row in rows]


def read_entry(transaction: Transaction, idx: int) -> EntryRow | None:
    """Return one entry."""
    row = fetch_one(transaction, f"{_ENTRY} WHERE idx = ?", (idx,))
    return None if row is None else _entry(row)


def read_entries_with(
    transaction: Transaction, peer: str, start: int, end: int, count: int
) -> list[EntryRow]:
    """Return up to ``count`` entries of exchanges with ``peer``, start <= index < end, the oldest first."""
    statement = f"{_ENTRY} WHERE peer = ? AND idx >= ? AND idx < ? ORDER BY idx LIMIT ?"
    return [_entry(row) for row in fetch_all(transaction, statement, (peer, start, end, count))]


def read_latest_with(transaction: Transaction, peer: str, count: int) -> list[EntryRow]:
    """Return up to ``count`` entries of exchanges with ``peer``, the newest first."""
    statement = f"{_ENTRY} WHERE peer = ? ORDER BY idx DESC LIMIT ?"
    return [_entry(row) for row in fetch_all(transaction, statement, (peer, count))]


def read_index_since(transaction: Transaction, logged_at: int, size: int) -> int:
    """Return the first index below ``size`` of an entry logged at ``logged_at`` or later, else ``size``.

    The times of entries never fall, so this halves the range until one is left.
    """
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        row = fetch_one(transaction, "SELECT logged_at FROM audit_entry WHERE idx = ?", (middle,))
        if row is not None and _integer(row[0]) < logged_at:
            low = middle + 1
        else:
            high = middle
    return low


def _entry(row: Row) -> EntryRow:
    return EntryRow(row[0], _bytes(row[1]), _bytes(row[2]), _bytes(row[3]), str(row[4]), _integer(row[5]))


def _bytes(value: object) -> bytes:
    """Return ``value`` if it is what the column should hold; SQLite lets anybody store anything."""
    if not isinstance(value, bytes):
        raise AuditLogError("the audit log was altered: a column is not of its type.", remedy=_KEEP)
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise AuditLogError("the audit log was altered: a column is not of its type.", remedy=_KEEP)
    return value


_KEEP = "Keep the database as it is, and restore a copy of it from a backup."
