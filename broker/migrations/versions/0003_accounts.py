"""Accounts: what workspaces and keys may do; users, members, sessions, tokens; the audit log."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def big(name: str, *, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def text(name: str) -> sa.Column:
    return sa.Column(name, sa.Text(), nullable=True)


def flag(name: str) -> sa.Column:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())


def string(name: str, *, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.String(), nullable=nullable)


def number(name: str) -> sa.Column:
    return sa.Column(name, sa.Integer(), nullable=True)


WORKSPACE_COLUMNS = (
    lambda: string("slug"),
    lambda: text("description"),
    lambda: sa.Column("weight", sa.Integer(), nullable=False, server_default="1"),
    lambda: number("requests_per_minute"),
    lambda: number("max_concurrent_jobs"),
    lambda: text("settings"),
    lambda: string("created_by"),
    lambda: big("updated_at"),
    lambda: big("deleted_at"),
)
KEY_COLUMNS = (
    lambda: sa.Column("kind", sa.String(), nullable=False, server_default="inference"),
    lambda: flag("everywhere"),
    lambda: big("limit_nanos"),
    lambda: string("limit_reset"),
    lambda: flag("include_byok_in_limit"),
    lambda: number("requests_per_minute"),
    lambda: number("max_concurrent_jobs"),
    lambda: text("allowed_models"),
    lambda: text("allowed_providers"),
    lambda: string("created_by"),
    lambda: big("expires_at"),
    lambda: big("last_used_at"),
    lambda: big("updated_at"),
    lambda: big("deleted_at"),
)


def upgrade() -> None:
    for column in WORKSPACE_COLUMNS:
        op.add_column("workspaces", column())
    for column in KEY_COLUMNS:
        op.add_column("api_keys", column())
    _name_workspaces()
    op.create_index("ix_workspaces_slug", "workspaces", ["slug"], unique=True)
    op.create_table(
        "users",
        string("id", nullable=False),
        string("email", nullable=False),
        string("name", nullable=False),
        string("password_hash"),
        string("oidc_issuer"),
        string("oidc_subject"),
        sa.Column("is_operator", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        big("created_at", nullable=False),
        big("last_seen_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email"),
    )
    op.create_index("uq_users_subject", "users", ["oidc_issuer", "oidc_subject"], unique=True)
    op.create_table(
        "members",
        string("workspace_id", nullable=False),
        string("user_id", nullable=False),
        string("role", nullable=False),
        big("created_at", nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"]),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("workspace_id", "user_id"),
    )
    op.create_index("ix_members_user_id", "members", ["user_id"])
    op.create_table(
        "user_sessions",
        string("hash", nullable=False),
        string("user_id", nullable=False),
        big("created_at", nullable=False),
        big("expires_at", nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index("ix_user_sessions_user_id", "user_sessions", ["user_id"])
    op.create_table(
        "one_time_tokens",
        string("hash", nullable=False),
        string("purpose", nullable=False),
        string("user_id"),
        string("workspace_id"),
        text("details"),
        big("created_at", nullable=False),
        big("expires_at", nullable=False),
        big("used_at"),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "audit_entries",
        string("id", nullable=False),
        string("workspace_id"),
        string("actor", nullable=False),
        string("actor_label"),
        string("action", nullable=False),
        string("object_id", nullable=False),
        string("address"),
        text("before"),
        text("after"),
        big("created_at", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_workspace", "audit_entries", ["workspace_id", "id"])


def _name_workspaces() -> None:
    """Give every workspace a slug made of its name; the oldest gets the plain one."""
    workspaces = sa.table("workspaces", sa.column("id"), sa.column("name"), sa.column("slug"))
    connection = op.get_bind()
    taken: set[str] = set()
    for row in connection.execute(sa.select(workspaces).order_by(workspaces.c.id)).all():
        plain = re.sub(r"[^a-z0-9]+", "-", row.name.lower()).strip("-") or "workspace"
        slug = plain if plain not in taken else f"{plain}-{row.id[-8:].lower()}"
        taken.add(slug)
        connection.execute(workspaces.update().where(workspaces.c.id == row.id).values(slug=slug))


def downgrade() -> None:
    for table in ("audit_entries", "one_time_tokens", "user_sessions", "members", "users"):
        op.drop_table(table)
    op.drop_index("ix_workspaces_slug", "workspaces")
    for column in KEY_COLUMNS:
        op.drop_column("api_keys", column().name)
    for column in WORKSPACE_COLUMNS:
        op.drop_column("workspaces", column().name)
