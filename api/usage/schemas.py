"""The body of POST /analytics/query: a question about usage."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api.core.openapi_bodies import body

MOST_VALUES = 500
"""In the list of a filter: the database takes no statement of any length."""
Value = Annotated[str, StringConstraints(max_length=500)] | float


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


ANALYTICS_BODY = body(
    AnalyticsQuery,
    {
        "metrics": ["request_count", "total_usage"],
        "dimensions": ["model"],
        "granularity": "day",
        "filters": [{"field": "model", "operator": "eq", "value": "acme/small"}],
    },
)
