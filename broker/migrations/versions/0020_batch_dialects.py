"""Store the dialect of a batch in a column, by which the lists of such batches are read.

It was the last field of the batch's options.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

DIALECTS = ("messages", "responses")
IN_DIALECT = sa.text("dialect IS NOT NULL")


def upgrade() -> None:
    op.add_column("batches", sa.Column("dialect", sa.String(), nullable=True))
    for dialect in DIALECTS:
        _move(f',"dialect":"{dialect}"}}', dialect)
    op.create_index(
        "ix_batches_dialect",
        "batches",
        ["workspace_id", "dialect", "id"],
        sqlite_where=IN_DIALECT,
        postgresql_where=IN_DIALECT,
    )


def _move(stored: str, dialect: str) -> None:
    """Move the end of the options' JSON to the column."""
    batches = sa.table("batches", sa.column("options"), sa.column("dialect"))
    options = batches.c.options
    rest = sa.func.substr(options, 1, sa.func.length(options) - len(stored))
    op.execute(
        sa.update(batches)
        .where(options.endswith(stored, autoescape=True))
        .values(options=rest.concat("}"), dialect=dialect)
    )


def downgrade() -> None:
    op.drop_index("ix_batches_dialect", "batches")
    op.drop_column("batches", "dialect")
