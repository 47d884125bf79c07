"""Audit log, replay guard, evidence, what peers showed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
APPEND_ONLY = ("audit_entry", "audit_node", "audit_checkpoint")


def upgrade() -> None:
    """Create every table, and the triggers that refuse to change what was appended."""
    _create_log()
    _create_guard_and_facts()
    _create_evidence()
    for table in APPEND_ONLY:
        _refuse_changes(table)


def downgrade() -> None:
    """There is no way back: an audit log is not dropped.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError("the audit log is not dropped")


def _create_log() -> None:
    op.create_table(
        "audit_tree",
        sa.Column("origin", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("edge", sa.LargeBinary, nullable=False),
        sa.Column("logged_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "audit_entry",
        sa.Column("idx", INDEX, primary_key=True, autoincrement=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("exchange_id", sa.LargeBinary, nullable=False, index=True),
        sa.Column("logged_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "audit_node",
        sa.Column("position", INDEX, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_checkpoint",
        sa.Column("size", INDEX, primary_key=True, autoincrement=False),
        sa.Column("note", sa.Text, nullable=False),
    )


def _create_guard_and_facts() -> None:
    op.create_table(
        "seen_message",
        sa.Column("message_id", sa.LargeBinary, primary_key=True),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "peer_checkpoint",
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("origin", "size", "root"),
    )
    op.create_table(
        "pair_sequence",
        sa.Column("peer", sa.Text, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "node_fact",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def _create_evidence() -> None:
    op.create_table(
        "evidence_signed",
        sa.Column("idx", INDEX, primary_key=True, autoincrement=False),
        sa.Column("request_message", sa.LargeBinary, nullable=False),
        sa.Column("request_body", sa.LargeBinary, nullable=False),
        sa.Column("answer_message", sa.LargeBinary, nullable=False),
        sa.Column("answer_body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "evidence",
        sa.Column("idx", sa.BigInteger, nullable=False),
        sa.Column("part", sa.SmallInteger, nullable=False),
        sa.Column("nonce", sa.LargeBinary, nullable=False),
        sa.Column("ciphertext", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("idx", "part"),
    )
    op.create_table(
        "evidence_key",
        sa.Column("idx", sa.BigInteger, nullable=False),
        sa.Column("part", sa.SmallInteger, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("wrapped_by", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("idx", "part"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "subject_index",
        sa.Column("subject_ref", sa.LargeBinary, nullable=False),
        sa.Column("idx", sa.BigInteger, nullable=False),
        sa.Column("part", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("subject_ref", "idx", "part"),
        sqlite_with_rowid=False,
    )


def _refuse_changes(table: str) -> None:
    """Add triggers against mistakes. They do not stop an administrator; the witnesses do that."""
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{act.lower()} BEFORE {act} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuses() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuses()"
    )
