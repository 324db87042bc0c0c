"""Let filters of a list of jobs be checked in its index, and find failed jobs by one of their own.

Without it a filter that few jobs pass reads each job of the workspace.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

WITH_ERROR = sa.text("error IS NOT NULL")
OWN = {"ix_jobs_session": "session_id", "ix_jobs_end_user": "end_user"}
"""Indexes of jobs with a value in this column; the list of them is newest first."""


def upgrade() -> None:
    op.drop_index("ix_jobs_workspace", "jobs")
    op.create_index(
        "ix_jobs_workspace",
        "jobs",
        ["workspace_id", "id", "model", "provider", "api_key_id", "app"],
    )
    op.create_index(
        "ix_jobs_errors",
        "jobs",
        ["workspace_id", "id"],
        sqlite_where=WITH_ERROR,
        postgresql_where=WITH_ERROR,
    )
    _replace_own("id")


def _replace_own(*more: str) -> None:
    for name, column in OWN.items():
        is_there = sa.text(f"{column} IS NOT NULL")
        op.drop_index(name, "jobs")
        op.create_index(
            name, "jobs", ["workspace_id", column, *more], sqlite_where=is_there,
            postgresql_where=is_there,
        )  # fmt: skip


def downgrade() -> None:
    _replace_own()
    op.drop_index("ix_jobs_errors", "jobs")
    op.drop_index("ix_jobs_workspace", "jobs")
    op.create_index("ix_jobs_workspace", "jobs", ["workspace_id", "id"])
