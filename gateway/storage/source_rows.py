"""The index of SQL sources: which rows of a source are a learner's, under subject tokens only."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.storage.driver_sql import Row, execute, execute_many, fetch_all, fetch_one, is_sqlite
from gateway.storage.node_tables import Transaction


def begin_generation(transaction: Transaction, source: str) -> int:
    """Return the number of the index that is built now."""
    row = fetch_one(
        transaction, "SELECT coalesce(max(generation), 0) FROM source_learner WHERE source = ?", (source,)
    )
    assert row is not None
    return int(row[0]) + 1


def put_learners(transaction: Transaction, rows: Sequence[tuple[str, bytes, bytes, str, bytes, int]]) -> None:
    """Write (source, subject_token, key_digest, epoch, sealed_key, generation)."""
    execute_many(
        transaction,
        "INSERT INTO source_learner (source, subject_token, key_digest, epoch, sealed_key, generation) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (source, subject_token, key_digest) "
        "DO UPDATE SET epoch = excluded.epoch, sealed_key = excluded.sealed_key, "
        "generation = excluded.generation",
        rows,
    )


def end_generation(transaction: Transaction, source: str, generation: int) -> int:
    """Drop what an earlier index had and this one has not; return how many learners there are now."""
    execute(
        transaction, "DELETE FROM source_learner WHERE source = ? AND generation < ?", (source, generation)
    )
    return count_tokens(transaction, source)


def count_tokens(transaction: Transaction, source: str) -> int:
    """Return how many subject tokens the index of a source has."""
    row = fetch_one(
        transaction, "SELECT count(DISTINCT subject_token) FROM source_learner WHERE source = ?", (source,)
    )
    assert row is not None
    return int(row[0])


def sealed_keys(transaction: Transaction, source: str, tokens: Sequence[bytes]) -> list[Row]:
    """Return (subject_token, sealed_key) of ``tokens``."""
    statement = "SELECT subject_token, sealed_key FROM source_learner WHERE source = ? AND subject_token"
    if is_sqlite(transaction):
        rows: list[Row] = []
        for token in tokens:
            rows += fetch_all(transaction, f"{statement} = ?", (source, token))
        return rows
    return fetch_all(transaction, f"{statement} = ANY(?)", (source, list(tokens)))
