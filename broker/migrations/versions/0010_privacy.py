"""Jobs whose prompt, or answer, is not kept; deliveries that hold a job in full."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

KEPT = sa.text("ended_at IS NOT NULL AND (kept IS NULL OR kept <> 'nothing')")
PRIVATE = sa.text("store IS NOT NULL AND (kept IS NULL OR kept <> 'nothing')")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("store", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("kept", sa.String(), nullable=True))
    op.create_index(
        "ix_jobs_kept", "jobs", ["workspace_id", "ended_at"],
        sqlite_where=KEPT, postgresql_where=KEPT,
    )  # fmt: skip
    op.create_index(
        "ix_jobs_private", "jobs", ["store", "kept", "ended_at"],
        sqlite_where=PRIVATE, postgresql_where=PRIVATE,
    )  # fmt: skip
    op.add_column(
        "deliveries", sa.Column("is_full", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("deliveries", "is_full")
    op.drop_index("ix_jobs_private", "jobs")
    op.drop_index("ix_jobs_kept", "jobs")
    op.drop_column("jobs", "kept")
    op.drop_column("jobs", "store")
