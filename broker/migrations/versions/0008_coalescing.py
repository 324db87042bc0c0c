"""jobs that share one call."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("coalesced_with", sa.String(), nullable=True))
    op.create_table(
        "coalesced_jobs",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("leads", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"]),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_index("ix_coalesced_jobs_call", "coalesced_jobs", ["workspace_id", "fingerprint"])
    op.create_index(
        "uq_coalesced_jobs_leader",
        "coalesced_jobs",
        ["workspace_id", "fingerprint"],
        unique=True,
        sqlite_where=sa.text("leads"),
        postgresql_where=sa.text("leads"),
    )


def downgrade() -> None:
    op.drop_table("coalesced_jobs")
    op.drop_column("jobs", "coalesced_with")
