"""When the answer of a job that keeps nothing was first fetched: it goes a moment later."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("fetched_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE jobs SET fetched_at = ended_at WHERE kept = 'fetched'")


def downgrade() -> None:
    op.drop_column("jobs", "fetched_at")
