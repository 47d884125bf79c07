"""Consents: which were issued here, which were revoked anywhere, and who is told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "issued_consent",
        sa.Column("consent_id", sa.LargeBinary, primary_key=True),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "revoked_consent",
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("consent_id", sa.LargeBinary, nullable=False),
        sa.Column("revoked_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("issuer", "consent_id"),
    )
    op.create_table(
        "revocation_notice",
        sa.Column("consent_id", sa.LargeBinary, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("delivered_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("consent_id", "peer"),
    )
