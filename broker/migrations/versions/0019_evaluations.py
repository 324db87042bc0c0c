"""Store evaluations: their prompts, the grades of their cells, and their batches."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('preparing', 'answering', 'judging', 'grading')")
KEYED = sa.text("idempotency_key IS NOT NULL")


def upgrade() -> None:
    op.add_column("batches", sa.Column("evaluation_id", sa.String(), nullable=True))
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("api_key_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("specification", sa.Text(), nullable=False),
        sa.Column("is_replay", sa.Boolean(), nullable=False),
        sa.Column("prompts_total", sa.Integer(), nullable=False),
        sa.Column("prompts_graded", sa.Integer(), nullable=False),
        sa.Column("answers_batch_id", sa.String(), nullable=True),
        sa.Column("judging_batch_id", sa.String(), nullable=True),
        sa.Column("max_cost_nanos", sa.BigInteger(), nullable=True),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=True),
        sa.Column("stop_reason", sa.String(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
    )
    op.create_index("ix_evaluations_workspace", "evaluations", ["workspace_id", "id"])
    op.create_index(
        "ix_evaluations_open",
        "evaluations",
        ["state"],
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_index(
        "uq_evaluations_idempotency",
        "evaluations",
        ["workspace_id", "idempotency_key"],
        unique=True,
        sqlite_where=KEYED,
        postgresql_where=KEYED,
    )
    op.create_table(
        "evaluation_prompts",
        sa.Column("evaluation_id", sa.String(), sa.ForeignKey("evaluations.id"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("recorded_job_id", sa.String(), nullable=True),
    )
    op.create_table(
        "evaluation_cells",
        sa.Column("evaluation_id", sa.String(), sa.ForeignKey("evaluations.id"), primary_key=True),
        sa.Column("prompt", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("column", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("sample", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("job_id", sa.String(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("grades", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("evaluation_cells")
    op.drop_table("evaluation_prompts")
    op.drop_table("evaluations")
    op.drop_column("batches", "evaluation_id")
