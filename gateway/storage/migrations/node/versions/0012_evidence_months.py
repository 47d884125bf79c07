"""Evidence says when its time is over in each of its tables; PostgreSQL divides it by that month."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_KEY_OF_PART = "idx bigint NOT NULL, part smallint NOT NULL"
_DIVIDED = {
    "evidence": (f"{_KEY_OF_PART}, nonce bytea NOT NULL, ciphertext bytea NOT NULL", "idx, part"),
    "evidence_key": (f"{_KEY_OF_PART}, wrapped_key bytea NOT NULL, wrapped_by bytea NOT NULL", "idx, part"),
    "subject_index": (f"subject_ref bytea NOT NULL, {_KEY_OF_PART}", "subject_ref, idx, part"),
}


def upgrade() -> None:
    """Add the column, and on PostgreSQL put partitioned tables in place of the plain ones."""
    if op.get_bind().dialect.name == "sqlite":
        for table in ("evidence", "subject_index"):
            op.add_column(table, sa.Column("expires_at", sa.BigInteger, nullable=False, server_default="0"))
            op.execute(  # only names of tables
                f"UPDATE {table} SET expires_at = coalesce((SELECT k.expires_at FROM evidence_key k "
                f"WHERE k.idx = {table}.idx AND k.part = {table}.part), 0)"
            )
        return
    for table in _DIVIDED:
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_whole")
        op.execute(f"ALTER TABLE {table}_whole RENAME CONSTRAINT {table}_pkey TO {table}_whole_pkey")
    for table, (columns, key) in _DIVIDED.items():
        op.execute(
            f"CREATE TABLE {table} ({columns}, expires_at bigint NOT NULL, PRIMARY KEY ({key}, expires_at)) "
            "PARTITION BY RANGE (expires_at)"
        )
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
        names = ", ".join(f"w.{column.split()[0]}" for column in columns.split(", "))
        op.execute(
            f"INSERT INTO {table} SELECT {names}, k.expires_at FROM {table}_whole w "
            "JOIN evidence_key_whole k ON k.idx = w.idx AND k.part = w.part"
        )
    for table in _DIVIDED:
        op.execute(f"DROP TABLE {table}_whole")


def downgrade() -> None:
    """There is no way back: an audit log is not dropped.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError("the audit log is not dropped")
