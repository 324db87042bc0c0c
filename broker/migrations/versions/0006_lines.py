"""Lines that jobs wait in for room at their provider."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WAITING = sa.text("line IS NOT NULL AND state IN ('queued', 'scheduled')")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("line", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("waiting_for", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("waiting_since", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE jobs SET line = workspace_id || '/' || coalesce(batch_id, '') || '/' || "
        "CAST(priority AS TEXT) WHERE lane = 'batch' AND ended_at IS NULL"
    )
    op.drop_index("ix_jobs_due", table_name="jobs")
    op.create_index("ix_jobs_due", "jobs", ["state", "lane", "line", "dispatch_at"])
    op.create_index(
        "ix_jobs_line",
        "jobs",
        ["provider", "lane", "line", "dispatch_at"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_line", table_name="jobs")
    op.drop_index("ix_jobs_due", table_name="jobs")
    op.create_index("ix_jobs_due", "jobs", ["state", "lane", "dispatch_at"])
    op.drop_column("jobs", "waiting_since")
    op.drop_column("jobs", "waiting_for")
    op.drop_column("jobs", "line")
