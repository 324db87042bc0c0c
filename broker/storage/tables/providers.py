"""Tables of operators' decisions about providers."""

from typing import Any, ClassVar

from sqlalchemy import Column, Text
from sqlmodel import Field, SQLModel

from broker.storage.tables.columns import big


class PausedProvider(SQLModel, table=True):
    """A provider that an operator has paused: no process calls it until the row is gone."""

    __tablename__: ClassVar[Any] = "paused_providers"

    provider: str = Field(primary_key=True)
    reason: str | None = Field(default=None, sa_column=Column(Text))
    paused_by: str
    paused_at: int = Field(sa_column=big())
