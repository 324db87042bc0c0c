"""Store the answers that a provider makes in the background, so that a later attempt fetches them.

Attempts that are there have none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("background", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("attempts", "background")
