"""The body of POST /analytics/query: a question about usage."""

from typing import Annotated, Literal, TypeAlias

from fastapi import Depends
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api.core.bodies import JsonBody

MOST_VALUES = 500
"""In the list of a filter: the database takes no statement of any length."""
Value = Annotated[str, StringConstraints(max_length=500)] | float


class ActivityQuery(BaseModel):
    """The filters of GET /activity (OpenRouter's)."""

    date: str | None = Field(None, description="One day, as YYYY-MM-DD (UTC).")
    api_key_hash: str | None = Field(None, description="The usage of the key with this hash.")
    user_id: str | None = Field(None, description="The usage of the keys that this user made.")
    workspace_id: str | None = Field(None, description="The usage of this workspace.")
    group_by: Literal["workspace"] | None = Field(
        None, description="`workspace` gives a row for each workspace."
    )
    format: Literal["json", "csv"] = Field("json", description="`csv` answers with a table.")


class AnalyticsFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    field: str
    operator: str
    value: Value | Annotated[list[Value], Field(max_length=MOST_VALUES)]


class AnalyticsOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    field: str
    direction: Literal["asc", "desc"] = "desc"


class TimeRange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    start: AwareDatetime
    end: AwareDatetime


class AnalyticsQuery(BaseModel):
    """A question about usage; GET /analytics/meta lists what may be named."""

    model_config = ConfigDict(extra="forbid")

    metrics: Annotated[list[str], Field(min_length=1, max_length=20)]
    dimensions: Annotated[list[str], Field(max_length=2)] = []
    filters: Annotated[list[AnalyticsFilter], Field(max_length=20)] = []
    granularity: str | None = None
    time_range: TimeRange | None = None  # default: the last 30 days
    order_by: AnalyticsOrder | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    workspace_id: str | None = None


AnalyticsBody: TypeAlias = Annotated[
    AnalyticsQuery,
    Depends(
        JsonBody(
            AnalyticsQuery,
            {
                "metrics": ["request_count", "total_usage"],
                "dimensions": ["model"],
                "granularity": "day",
                "filters": [{"field": "model", "operator": "eq", "value": "acme/small"}],
            },
        )
    ),
]
