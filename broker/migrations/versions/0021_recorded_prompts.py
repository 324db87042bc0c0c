"""Find the prompts that replay a job, to delete them together with the job's contents."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

RECORDED = sa.text("recorded_job_id IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_evaluation_prompts_recorded",
        "evaluation_prompts",
        ["recorded_job_id"],
        sqlite_where=RECORDED,
        postgresql_where=RECORDED,
    )


def downgrade() -> None:
    op.drop_index("ix_evaluation_prompts_recorded", "evaluation_prompts")
