"""Queries of the routes of activity and analytics."""

from typing import Annotated, Literal, TypeAlias

from fastapi import Depends
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api.core.bodies import JsonBody

MAX_VALUES = 500
"""The most values in the list of a filter. A database limits the length of statements."""
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
    """A filter of rollups."""

    model_config = ConfigDict(extra="forbid")

    field: str = Field(description="The name of a dimension.")
    operator: str = Field(description="The name of an operator, e.g. `eq`.")
    value: Value | Annotated[list[Value], Field(max_length=MAX_VALUES)] = Field(
        description="The value, or the list of values for `in` and `not_in`."
    )


class AnalyticsOrder(BaseModel):
    """The order of rows."""

    model_config = ConfigDict(extra="forbid")

    field: str = Field(description="A metric or dimension of the query, or `date`.")
    direction: Literal["asc", "desc"] = Field(
        "desc", description="`asc` for the smallest first, `desc` for the largest."
    )


class TimeRange(BaseModel):
    """A range of time."""

    model_config = ConfigDict(extra="forbid")

    start: AwareDatetime = Field(description="The first moment of the range (ISO 8601).")
    end: AwareDatetime = Field(description="The end of the range, which is not part of it.")


class AnalyticsQuery(BaseModel):
    """A query of usage. `GET /analytics/meta` lists all names."""

    model_config = ConfigDict(extra="forbid")

    metrics: Annotated[list[str], Field(min_length=1, max_length=20)] = Field(
        description="The names of the metrics."
    )
    dimensions: Annotated[list[str], Field(max_length=2)] = Field(
        [], description="The names of the dimensions that rows are grouped by."
    )
    filters: Annotated[list[AnalyticsFilter], Field(max_length=20)] = Field(
        [], description="The filters; a row passes all of them."
    )
    granularity: str | None = Field(
        None, description="The period of a row, e.g. `day`; by default one row for the whole range."
    )
    time_range: TimeRange | None = Field(
        None, description="The range of time; by default the last 30 days."
    )
    order_by: AnalyticsOrder | None = Field(
        None, description="The order; by default by date, then the largest first metric first."
    )
    limit: Annotated[int, Field(ge=1, le=10_000)] = Field(1_000, description="The most rows.")
    workspace_id: str | None = Field(
        None, description="The id of a workspace; by default all that the key may see."
    )


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
