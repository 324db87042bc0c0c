"""Workspaces bring keys of their own: the keys, and what was called with them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLE = "provider_credentials"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("workspace_id", sa.String(), sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("sort_order", sa.Integer(), nullable=False),
        sa.Column("is_fallback", sa.Boolean(), nullable=False),
        sa.Column("is_required", sa.Boolean(), nullable=False),
        sa.Column("is_byok_only", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_error_at", sa.BigInteger(), nullable=True),
        sa.Column("allowed_models", sa.Text(), nullable=True),
        sa.Column("allowed_key_ids", sa.Text(), nullable=True),
        sa.Column("allowed_user_ids", sa.Text(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
    op.create_index(
        "ix_provider_credentials_workspace", TABLE, ["workspace_id", "provider", "sort_order"]
    )
    op.add_column("attempts", sa.Column("credential_id", sa.String(), nullable=True))
    op.add_column(
        "generations",
        sa.Column("is_byok", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column(
        "generations",
        sa.Column("byok_cost_nanos", sa.BigInteger(), nullable=False, server_default="0"),
    )


def downgrade() -> None:
    op.drop_column("generations", "byok_cost_nanos")
    op.drop_column("generations", "is_byok")
    op.drop_column("attempts", "credential_id")
    op.drop_table(TABLE)
