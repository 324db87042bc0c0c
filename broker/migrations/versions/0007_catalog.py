"""The catalog's imports: who was offered what, at which price, from when on."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "catalog_imports",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "catalog_offers",
        sa.Column("import_id", sa.String(), sa.ForeignKey("catalog_imports.id"), primary_key=True),
        sa.Column("provider", sa.String(), primary_key=True),
        sa.Column("model", sa.String(), primary_key=True),
        sa.Column("effective_from", sa.BigInteger(), nullable=False),
        sa.Column("offer", sa.Text(), nullable=True),
    )
    op.create_index("ix_catalog_offers_endpoint", "catalog_offers", ["provider", "model"])


def downgrade() -> None:
    op.drop_table("catalog_offers")
    op.drop_table("catalog_imports")
