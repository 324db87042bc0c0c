"""Usage: what was consumed, added up by hour, day and month as it is settled."""

from typing import Any, ClassVar

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from broker.storage.tables.columns import big


class UsageRollup(SQLModel, table=True):
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
