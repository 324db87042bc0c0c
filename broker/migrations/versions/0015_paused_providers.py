"""Providers that an operator has paused."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "paused_providers",
        sa.Column("provider", sa.String(), primary_key=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("paused_by", sa.String(), nullable=False),
        sa.Column("paused_at", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("paused_providers")
