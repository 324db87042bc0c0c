"""Store the dialect of a job, and its body before the translation.

Jobs that are there have none: their answers stay chat completions.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("dialect", sa.String(), nullable=True))
    op.add_column("job_payloads", sa.Column("caller_body", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("job_payloads", "caller_body")
    op.drop_column("jobs", "dialect")
