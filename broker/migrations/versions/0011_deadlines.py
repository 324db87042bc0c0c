"""Jobs whose deadline passes while they wait are found without a look at all that wait."""

from alembic import op
from sqlalchemy import text

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WAITING = text("state IN ('queued', 'scheduled')")


def upgrade() -> None:
    op.create_index(
        "ix_jobs_deadline", "jobs", ["deadline_at"], sqlite_where=WAITING, postgresql_where=WAITING
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_deadline", table_name="jobs")
