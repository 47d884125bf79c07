"""Subject tokens of earlier epochs, by which records are found as well."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "subject_alias",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        sa.Column("canonical", sa.LargeBinary, nullable=False),
    )
    op.create_index("subject_alias_canonical", "subject_alias", ["canonical"])


def downgrade() -> None:
    """Drop the table; records are no longer found under earlier epochs."""
    op.drop_table("subject_alias")
