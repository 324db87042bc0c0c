"""Check what a key may do besides its own work, and find the key of a file.

Keys that are there keep what they had: no list of scopes means all. Files that are there are of no
key: keys with the scope `files` read them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("scopes", sa.Text(), nullable=True))
    op.add_column("files", sa.Column("api_key_id", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("files", "api_key_id")
    op.drop_column("api_keys", "scopes")
