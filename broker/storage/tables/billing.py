"""The ledger and its accounts, budgets and their notices, and usage rollups."""

from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Column, Index, Text
from sqlmodel import Field

from broker.enums import BudgetScope, EntryKind, Reset
from broker.storage.tables.columns import TableModel, big, enumeration, partial_index

KINDS = tuple(kind.value for kind in EntryKind)


class LedgerEntry(TableModel, table=True):
    """One immutable signed amount. A workspace's balance is the sum of its entries.

    Only `sequence` and `hash` are written later, once, by `ledger.chain_entries`.
    """

    __tablename__: ClassVar[Any] = "ledger_entries"
    __table_args__: ClassVar[Any] = (
        # A doubled hold, extension, settle or release is refused by the database, not by care.
        partial_index(
            "uq_ledger_job_kind",
            "job_id",
            "kind",
            "attempt",
            where="job_id IS NOT NULL",
            unique=True,
        ),
        # A job ends with a settle or a release, never with both.
        partial_index(
            "uq_ledger_job_end", "job_id", where="kind IN ('settle', 'release')", unique=True
        ),
        # A payment that is reported twice is booked once.
        partial_index(
            "uq_ledger_reference",
            "workspace_id",
            "kind",
            "reference",
            where="reference IS NOT NULL",
            unique=True,
        ),
        # The chain, and what is not in it yet.
        partial_index(
            "uq_ledger_sequence",
            "workspace_id",
            "sequence",
            where="sequence IS NOT NULL",
            unique=True,
        ),
        partial_index("ix_ledger_unsealed", "workspace_id", "id", where="sequence IS NULL"),
        CheckConstraint(f"kind IN {KINDS}", name="ck_ledger_kind"),
    )

    id: str = Field(primary_key=True)  # led_…
    workspace_id: str = Field(foreign_key="workspaces.id")
    api_key_id: str | None = None  # whose job it is
    job_id: str | None = None
    kind: EntryKind = Field(sa_column=enumeration(EntryKind))
    attempt: int = Field(default=0, sa_column_kwargs={"server_default": "0"})  # of an extension
    amount_nanos: int = Field(sa_column=big())  # what it does to the balance
    held_nanos: int = Field(sa_column=big(default=0))  # what it does to the open holds
    reference: str | None = None  # of a payment: the payer's own id for it
    created_at: int = Field(sa_column=big())
    sequence: int | None = Field(default=None, sa_column=big(nullable=True))
    hash: str | None = Field(default=None, sa_column=Column(Text))


class LedgerAccount(TableModel, table=True):
    """The sums of the chained entries of a workspace, or of one of its keys.

    A workspace's row is also the head of its chain. Written by `ledger.chain_entries` only.
    """

    __tablename__: ClassVar[Any] = "ledger_accounts"

    id: str = Field(primary_key=True)  # of the workspace or key
    workspace_id: str = Field(index=True)
    credited_nanos: int = Field(sa_column=big())
    spent_nanos: int = Field(sa_column=big())
    held_nanos: int = Field(sa_column=big())
    sequence: int = Field(sa_column=big())  # of the last chained entry; 0 for a key
    hash: str = Field(sa_column=Column(Text, nullable=False))  # the last entry's; "" for a key


class Budget(TableModel, table=True):
    """A limit of a workspace, a member or a key, for a day, a week, a month or for ever."""

    __tablename__: ClassVar[Any] = "budgets"
    __table_args__: ClassVar[Any] = (
        Index("uq_budgets", "workspace_id", "scope", "subject_id", "reset", unique=True),
    )

    id: str = Field(primary_key=True)  # bud_…
    workspace_id: str = Field(foreign_key="workspaces.id")
    scope: BudgetScope = Field(sa_column=enumeration(BudgetScope))
    subject_id: str  # the workspace's, user's or key's id
    reset: Reset = Field(sa_column=enumeration(Reset))
    limit_nanos: int = Field(sa_column=big())
    soft: bool = False  # sends notices, but never refuses
    created_at: int = Field(sa_column=big())
    updated_at: int = Field(sa_column=big())


class BudgetNotice(TableModel, table=True):
    """A threshold that was announced: once per period."""

    __tablename__: ClassVar[Any] = "budget_notices"

    budget_id: str = Field(primary_key=True)  # or a key's id: its own limit
    starts_at: int = Field(sa_column=big(key=True))  # of the period
    threshold: int = Field(primary_key=True)  # per cent
    created_at: int = Field(sa_column=big())


class UsageRollup(TableModel, table=True):
    """The sums of one hour, day or month (UTC) of one combination. Written by `usage.rollups`."""

    __tablename__: ClassVar[Any] = "usage_rollups"
    __table_args__: ClassVar[Any] = (Index("ix_usage_key", "api_key_id", "period", "starts_at"),)

    workspace_id: str = Field(primary_key=True)
    period: str = Field(primary_key=True)  # hour | day | month
    starts_at: int = Field(sa_column=big(key=True))
    api_key_id: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    provider: str = Field(primary_key=True)
    app: str = Field(primary_key=True)  # "" = none was named
    end_user: str = Field(primary_key=True)  # "" = none was named
    requests: int = Field(sa_column=big())  # that brought an answer
    failures: int = Field(sa_column=big())  # jobs that ended without one
    prompt_tokens: int = Field(sa_column=big())  # cached ones included
    completion_tokens: int = Field(sa_column=big())
    reasoning_tokens: int = Field(sa_column=big())
    cached_tokens: int = Field(sa_column=big())
    cost_nanos: int = Field(sa_column=big())
    byok_cost_nanos: int = Field(sa_column=big())  # what the provider charged the caller's own key
    duration_ms: int = Field(sa_column=big())
    first_token_ms: int = Field(sa_column=big())
    first_tokens: int = Field(sa_column=big())  # answers whose first token was timed
