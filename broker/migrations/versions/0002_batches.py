"""files of every purpose; batches and their lines."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('validating', 'in_progress', 'finalizing', 'cancelling')")
KEYED = sa.text("idempotency_key IS NOT NULL")
DIGESTED = sa.text("digest IS NOT NULL")
EXPIRING = sa.text("expires_at IS NOT NULL")


def upgrade() -> None:
    with op.batch_alter_table("files") as files:
        files.add_column(
            sa.Column("purpose", sa.String(), nullable=False, server_default="job_output")
        )
        files.add_column(sa.Column("filename", sa.String(), nullable=True))
        files.add_column(sa.Column("lines", sa.Integer(), nullable=True))
        files.add_column(sa.Column("problems", sa.Text(), nullable=True))
        files.add_column(sa.Column("expires_at", sa.BigInteger(), nullable=True))
        files.create_index("ix_files_workspace", ["workspace_id", "id"])
        files.create_index(
            "ix_files_expiry", ["expires_at"], sqlite_where=EXPIRING, postgresql_where=EXPIRING
        )
    _create_batches()
    op.create_table(
        "batch_lines",
        sa.Column("batch_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("custom_id", sa.String(), nullable=True),
        sa.Column("job_id", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"]),
        sa.PrimaryKeyConstraint("batch_id", "number"),
    )
    op.create_index(
        "uq_batch_lines_custom_id", "batch_lines", ["batch_id", "custom_id"], unique=True
    )
    op.create_index(
        "ix_batch_lines_digest",
        "batch_lines",
        ["batch_id", "digest"],
        sqlite_where=DIGESTED,
        postgresql_where=DIGESTED,
    )


def _create_batches() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("api_key_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("input_file_id", sa.String(), nullable=False),
        sa.Column("inline", sa.Boolean(), nullable=False),
        sa.Column("output_file_id", sa.String(), nullable=True),
        sa.Column("error_file_id", sa.String(), nullable=True),
        sa.Column("completion_window", sa.String(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("max_concurrency", sa.Integer(), nullable=True),
        sa.Column("max_cost_nanos", sa.BigInteger(), nullable=True),
        sa.Column("webhook", sa.Text(), nullable=True),
        sa.Column("retry_of", sa.String(), nullable=True),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=True),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("lines_read", sa.Integer(), nullable=False),
        sa.Column("lines_total", sa.Integer(), nullable=False),
        sa.Column("stop_reason", sa.String(), nullable=True),
        sa.Column("waits_for", sa.String(), nullable=True),
        sa.Column("totals", sa.Text(), nullable=True),
        sa.Column("errors", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("in_progress_at", sa.BigInteger(), nullable=True),
        sa.Column("finalizing_at", sa.BigInteger(), nullable=True),
        sa.Column("cancelling_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_batches_workspace", "batches", ["workspace_id", "id"])
    op.create_index(
        "ix_batches_open", "batches", ["state"], sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_index(
        "uq_batches_idempotency",
        "batches",
        ["workspace_id", "idempotency_key"],
        unique=True,
        sqlite_where=KEYED,
        postgresql_where=KEYED,
    )


def downgrade() -> None:
    op.drop_table("batch_lines")
    op.drop_table("batches")
    with op.batch_alter_table("files") as files:
        files.drop_index("ix_files_expiry")
        files.drop_index("ix_files_workspace")
        for column in ("expires_at", "problems", "lines", "filename", "purpose"):
            files.drop_column(column)
