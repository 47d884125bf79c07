"""The registry of records and the files that filled it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
RECORD_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "record_import",
        sa.Column("id", INDEX, primary_key=True, autoincrement=True),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("file_digest", sa.LargeBinary, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
    )
    op.create_table(
        "learner_record",
        sa.Column("id", INDEX, primary_key=True, autoincrement=True),
        sa.Column("record_id", RECORD_ID, nullable=False, unique=True),
        sa.Column("subject_token", sa.LargeBinary, nullable=False),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("original", sa.LargeBinary, nullable=False),
        sa.Column("translated", sa.LargeBinary, nullable=False),
        sa.Column("scheme_digest", sa.LargeBinary, nullable=False),
        sa.Column("content_digest", sa.LargeBinary, nullable=False),
        sa.Column("import_id", sa.BigInteger, sa.ForeignKey("record_import.id"), nullable=False),
        sa.Column("line", sa.BigInteger, nullable=False),
    )
    op.create_index("learner_record_subject", "learner_record", ["subject_token", "kind"])


def downgrade() -> None:
    """Drop the registry; its records can be imported again."""
    op.drop_table("learner_record")
    op.drop_table("record_import")
