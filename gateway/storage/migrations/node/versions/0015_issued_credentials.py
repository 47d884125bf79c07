"""Credentials that this node issued, and what became of their records."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "issued_credential",
        sa.Column("credential_id", sa.LargeBinary, primary_key=True),
        sa.Column("content_tag", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("source_node", sa.Text, nullable=False),
        sa.Column("record_id", sa.Text, nullable=False),
        sa.Column("list_number", sa.Integer, nullable=False),
        sa.Column("list_index", sa.Integer, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("list_number", "list_index"),
    )
    op.create_index("issued_credential_record", "issued_credential", ["source_node", "record_id"])
