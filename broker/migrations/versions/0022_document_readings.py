"""Store the texts that OCR has read, and what OCR of a job's documents has cost.

Jobs that are there have read none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "jobs", sa.Column("ocr_nanos", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_table(
        "document_readings",
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("texts", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_document_readings_key", "document_readings", ["workspace_id", "key"])


def downgrade() -> None:
    op.drop_table("document_readings")
    op.drop_column("jobs", "ocr_nanos")
