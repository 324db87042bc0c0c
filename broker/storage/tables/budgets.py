"""Budgets: what may be spent in a period, and who was told how much of it is gone."""

from typing import Any, ClassVar

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from broker.storage.tables.columns import big


class Budget(SQLModel, table=True):
    """A limit of a workspace, a member or a key, for a day, a week, a month or for ever."""

    __tablename__: ClassVar[Any] = "budgets"
    __table_args__: ClassVar[Any] = (
        Index("uq_budgets", "workspace_id", "scope", "subject_id", "reset", unique=True),
    )

    id: str = Field(primary_key=True)  # bud_…
    workspace_id: str = Field(foreign_key="workspaces.id")
    scope: str  # workspace | member | key
    subject_id: str  # the workspace's, user's or key's id
    reset: str  # daily | weekly | monthly | lifetime
    limit_nanos: int = Field(sa_column=big())
    soft: bool = False  # tells, but never refuses
    created_at: int = Field(sa_column=big())
    updated_at: int = Field(sa_column=big())


class BudgetNotice(SQLModel, table=True):
    """A threshold that was announced: once per period."""

    __tablename__: ClassVar[Any] = "budget_notices"

    budget_id: str = Field(primary_key=True)  # or a key's id: its own limit
    starts_at: int = Field(sa_column=big(key=True))  # of the period
    threshold: int = Field(primary_key=True)  # per cent
    created_at: int = Field(sa_column=big())
