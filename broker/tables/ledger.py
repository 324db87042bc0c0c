"""Money: immutable signed amounts."""

from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from broker.tables.columns import big


class LedgerEntry(SQLModel, table=True):
    """One immutable signed amount. A workspace's balance is the sum of its entries."""

    __tablename__: ClassVar[Any] = "ledger_entries"
    __table_args__: ClassVar[Any] = (
        # A doubled hold, settle or release is refused by the database, not by care.
        Index(
            "uq_ledger_job_kind",
            "job_id",
            "kind",
            unique=True,
            sqlite_where=text("job_id IS NOT NULL"),
            postgresql_where=text("job_id IS NOT NULL"),
        ),
        # A job ends with a settle or a release, never with both.
        Index(
            "uq_ledger_job_end",
            "job_id",
            unique=True,
            sqlite_where=text("kind IN ('settle', 'release')"),
            postgresql_where=text("kind IN ('settle', 'release')"),
        ),
        Index("ix_ledger_workspace", "workspace_id", "amount_nanos"),
        CheckConstraint("kind IN ('hold', 'settle', 'release', 'grant')", name="ck_ledger_kind"),
    )

    id: str = Field(primary_key=True)  # led_…
    workspace_id: str = Field(foreign_key="workspaces.id")
    job_id: str | None = None
    kind: str  # hold (negative) | settle (hold less cost) | release (the hold) | grant
    amount_nanos: int = Field(sa_column=big())
    created_at: int = Field(sa_column=big())
