"""Audit log, replay guard, evidence, what peers showed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
APPEND_ONLY = (
    "audit_entry",
    "audit_node",
    "audit_checkpoint",
    "audit_origin",
    "peer_conflict",
    "known_card",
)


def upgrade() -> None:
    """Create every table, and the triggers that refuse to change what was appended."""
    _create_log()
    _create_guard_and_facts()
    _create_evidence()
    _create_witnessing()
    _create_reconciliation()
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
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("logged_at", sa.BigInteger, nullable=False),
    )
    op.create_index("audit_entry_peer", "audit_entry", ["peer", "idx"])
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


def _create_witnessing() -> None:
    op.create_table(
        "audit_origin",
        sa.Column("since_size", INDEX, primary_key=True, autoincrement=False),
        sa.Column("origin", sa.Text, nullable=False),
    )
    op.create_table(
        "audit_cosignature",
        sa.Column("witness", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("time_s", sa.BigInteger, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("witness", "size"),
    )
    op.create_table(
        "witnessed_log",
        sa.Column("origin", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "peer_conflict",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("other_note", sa.Text, nullable=False),
        sa.Column("proof", sa.LargeBinary, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("found_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "known_card",
        sa.Column("fingerprint", sa.LargeBinary, primary_key=True),
        sa.Column("node_id", sa.Text, nullable=False),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.Column("card", sa.Text, nullable=False),
    )


def _create_reconciliation() -> None:
    op.create_table(
        "reconciliation",
        sa.Column("peer", sa.Text, primary_key=True),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("their_next", sa.BigInteger, nullable=False),
        sa.Column("our_next", sa.BigInteger, nullable=False),
        sa.Column("checkpoint", sa.Text, nullable=False),
        sa.Column("matched", sa.BigInteger, nullable=False),
        sa.Column("sequence_max", sa.BigInteger, nullable=False),
        sa.Column("sequence_count", sa.BigInteger, nullable=False),
        sa.Column("done_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "reconciled_entry",
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("idx", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("peer", "idx"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reconcile_finding",
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("exchange_id", sa.LargeBinary, nullable=False),
        sa.Column("our_idx", sa.BigInteger, nullable=False),
        sa.Column("their_idx", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("found_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("peer", "kind", "our_idx", "their_idx"),
    )
    op.create_table(
        "notice",
        sa.Column("notice_id", sa.LargeBinary, primary_key=True),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("delivered_at", sa.BigInteger, nullable=False),
        sa.Index("notice_pending", "method", "delivered_at", "created_at"),
    )
    op.create_table(
        "heard_change",
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("exchange_id", sa.LargeBinary, nullable=False),
        sa.Column("commitment", sa.LargeBinary, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("heard_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("peer", "exchange_id", "commitment", "changed_at"),
        sa.Index("heard_change_time", "heard_at"),
    )


def _create_guard_and_facts() -> None:
    op.create_table(
        "seen_message",
        sa.Column("message_id", sa.LargeBinary, primary_key=True),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
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
