"""Learning codes, how much of its quota each peer has used, and rates that several processes share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the four tables."""
    op.create_table(
        "learning_code",
        sa.Column("code_id", sa.LargeBinary, primary_key=True),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("entry_id", sa.LargeBinary, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger, nullable=False),
        sa.Column("redeemed_at", sa.BigInteger, nullable=False),
        sa.Column("redeemed_by", sa.Text, nullable=False),
        sa.Column("redemption", sa.LargeBinary, nullable=False),
        sa.Column("consent_id", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "code_attempt",
        sa.Column("code_hash", sa.LargeBinary, primary_key=True),
        sa.Column("exchange_id", sa.LargeBinary, nullable=False),
        sa.Column("opening_key", sa.LargeBinary, nullable=False),
        sa.Column("begun_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "quota_use",
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("learners", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("day", "peer", "purpose"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rate_window",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("taken", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", "start"),
        sqlite_with_rowid=False,
    )
