"""money: sealed entries, accounts, budgets, rollups, attribution."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OLD_KINDS = ("hold", "settle", "release", "grant")
KINDS = (
    *("hold", "extend", "settle", "release", "refund"),
    *("topup", "fee", "grant", "withdrawal"),
)
HOUR = 3_600_000
COUNTED = (
    *("requests", "failures", "prompt_tokens", "completion_tokens", "reasoning_tokens"),
    *("cached_tokens", "cost_nanos", "byok_cost_nanos"),
    *("duration_ms", "first_token_ms", "first_tokens"),
)


def upgrade() -> None:
    _jobs()
    _ledger()
    _new_tables()
    _fill_rollups()


def _jobs() -> None:
    with op.batch_alter_table("jobs") as table:
        for name in ("app", "end_user", "session_id"):
            table.add_column(sa.Column(name, sa.String(), nullable=True))
        for name, column in (("ix_jobs_session", "session_id"), ("ix_jobs_end_user", "end_user")):
            there = sa.text(f"{column} IS NOT NULL")
            table.create_index(
                name, ["workspace_id", column], sqlite_where=there, postgresql_where=there
            )
    with op.batch_alter_table("job_payloads") as table:
        table.add_column(sa.Column("quotes", sa.Text(), nullable=True))


def _ledger() -> None:
    with op.batch_alter_table("ledger_entries") as table:
        table.drop_index("ix_ledger_workspace")
        table.drop_index("uq_ledger_job_kind")
    with op.batch_alter_table("ledger_entries") as table:
        table.add_column(sa.Column("api_key_id", sa.String(), nullable=True))
        table.add_column(sa.Column("attempt", sa.Integer(), server_default="0", nullable=False))
        table.add_column(
            sa.Column("held_nanos", sa.BigInteger(), server_default="0", nullable=False)
        )
        table.add_column(sa.Column("reference", sa.String(), nullable=True))
        table.add_column(sa.Column("sequence", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("hash", sa.Text(), nullable=True))
        table.drop_constraint("ck_ledger_kind", type_="check")
        table.create_check_constraint("ck_ledger_kind", sa.text(f"kind IN {KINDS}"))
    for name, columns, where, unique in (
        ("uq_ledger_job_kind", ["job_id", "kind", "attempt"], "job_id IS NOT NULL", True),
        ("uq_ledger_reference", ["workspace_id", "kind", "reference"], "reference IS NOT NULL", 1),
        ("uq_ledger_sequence", ["workspace_id", "sequence"], "sequence IS NOT NULL", True),
        ("ix_ledger_unsealed", ["workspace_id", "id"], "sequence IS NULL", False),
    ):
        there = sa.text(where)
        op.create_index(
            name,
            "ledger_entries",
            columns,
            unique=bool(unique),
            sqlite_where=there,
            postgresql_where=there,
        )
    op.execute("UPDATE ledger_entries SET held_nanos = -amount_nanos WHERE kind = 'hold'")
    op.execute(
        "UPDATE ledger_entries SET held_nanos = (SELECT held.amount_nanos FROM ledger_entries held "
        "WHERE held.job_id = ledger_entries.job_id AND held.kind = 'hold') "
        "WHERE kind IN ('settle', 'release')"
    )
    op.execute(
        "UPDATE ledger_entries SET api_key_id = (SELECT jobs.api_key_id FROM jobs "
        "WHERE jobs.id = ledger_entries.job_id) WHERE job_id IS NOT NULL"
    )


def _new_tables() -> None:
    big = sa.BigInteger
    op.create_table(
        "ledger_accounts",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("workspace_id", sa.String(), nullable=False, index=True),
        *[
            sa.Column(name, big(), nullable=False)
            for name in ("credited_nanos", "spent_nanos", "held_nanos", "sequence")
        ],
        sa.Column("hash", sa.Text(), nullable=False),
    )
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("workspace_id", sa.String(), sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("reset", sa.String(), nullable=False),
        sa.Column("limit_nanos", big(), nullable=False),
        sa.Column("soft", sa.Boolean(), nullable=False),
        sa.Column("created_at", big(), nullable=False),
        sa.Column("updated_at", big(), nullable=False),
    )
    op.create_index(
        "uq_budgets", "budgets", ["workspace_id", "scope", "subject_id", "reset"], unique=True
    )
    op.create_table(
        "budget_notices",
        sa.Column("budget_id", sa.String(), primary_key=True),
        sa.Column("starts_at", big(), primary_key=True),
        sa.Column("threshold", sa.Integer(), primary_key=True),
        sa.Column("created_at", big(), nullable=False),
    )
    op.create_table(
        "usage_rollups",
        sa.Column("workspace_id", sa.String(), primary_key=True),
        sa.Column("period", sa.String(), primary_key=True),
        sa.Column("starts_at", big(), primary_key=True),
        *[
            sa.Column(name, sa.String(), primary_key=True)
            for name in ("api_key_id", "model", "provider", "app", "end_user")
        ],
        *[sa.Column(name, big(), nullable=False) for name in COUNTED],
    )
    op.create_index("ix_usage_key", "usage_rollups", ["api_key_id", "period", "starts_at"])


def _fill_rollups() -> None:
    """Add up what was generated before there were sums."""
    connection = op.get_bind()
    made = connection.execute(
        sa.text(
            "SELECT g.workspace_id, j.api_key_id, g.model, g.provider, g.created_at, "
            "g.input_tokens, g.cache_read_tokens, g.cache_write_tokens, g.output_tokens, "
            "g.reasoning_tokens, g.cost_nanos, g.duration_ms, g.first_token_ms "
            "FROM generations g JOIN jobs j ON j.id = g.job_id"
        )
    )
    sums: dict[tuple, list[int]] = {}
    for row in made:
        cached = row.cache_read_tokens or 0
        prompt = (row.input_tokens or 0) + cached + (row.cache_write_tokens or 0)
        counts = (
            *(1, 0, prompt, row.output_tokens or 0, row.reasoning_tokens or 0, cached),
            *(row.cost_nanos, 0, row.duration_ms, row.first_token_ms or 0),
            int(row.first_token_ms is not None),
        )
        for period, start in _periods(row.created_at):
            key = (row.workspace_id, period, start, row.api_key_id, row.model, row.provider)
            sums[key] = [*map(int.__add__, sums.get(key, [0] * len(COUNTED)), counts)]
    names = ("workspace_id", "period", "starts_at", "api_key_id", "model", "provider", *COUNTED)
    rows = [
        dict(zip(names, (*key, *counts), strict=True)) | {"app": "", "end_user": ""}
        for key, counts in sums.items()
    ]
    if rows:
        table = sa.table("usage_rollups", *[sa.column(name) for name in rows[0]])
        op.bulk_insert(table, rows)


def _periods(moment: int) -> list[tuple[str, int]]:
    day = moment - moment % (24 * HOUR)
    date = datetime.fromtimestamp(day / 1000, UTC)
    month = int(datetime(date.year, date.month, 1, tzinfo=UTC).timestamp()) * 1000
    return [("hour", moment - moment % HOUR), ("day", day), ("month", month)]


def downgrade() -> None:
    for table in ("usage_rollups", "budget_notices", "budgets", "ledger_accounts"):
        op.drop_table(table)
    op.execute(
        "DELETE FROM ledger_entries WHERE kind NOT IN ('hold', 'settle', 'release', 'grant')"
    )
    for name in (
        *("uq_ledger_job_kind", "uq_ledger_reference", "uq_ledger_sequence"),
        "ix_ledger_unsealed",
    ):
        op.drop_index(name, "ledger_entries")
    with op.batch_alter_table("ledger_entries") as table:
        for name in ("api_key_id", "attempt", "held_nanos", "reference", "sequence", "hash"):
            table.drop_column(name)
        table.drop_constraint("ck_ledger_kind", type_="check")
        table.create_check_constraint("ck_ledger_kind", sa.text(f"kind IN {OLD_KINDS}"))
    there = sa.text("job_id IS NOT NULL")
    op.create_index(
        "uq_ledger_job_kind",
        "ledger_entries",
        ["job_id", "kind"],
        unique=True,
        sqlite_where=there,
        postgresql_where=there,
    )
    op.create_index("ix_ledger_workspace", "ledger_entries", ["workspace_id", "amount_nanos"])
    with op.batch_alter_table("job_payloads") as table:
        table.drop_column("quotes")
    with op.batch_alter_table("jobs") as table:
        table.drop_index("ix_jobs_session")
        table.drop_index("ix_jobs_end_user")
        for name in ("app", "end_user", "session_id"):
            table.drop_column(name)
