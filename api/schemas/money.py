"""Bodies of the routes about money. Amounts are US dollars."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

MOST_VALUES = 500
"""In the list of a filter: the database takes no statement of any length."""

Value = Annotated[str, StringConstraints(max_length=500)] | float
Reference = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Dollars = Annotated[float, Field(strict=True, gt=0, le=10_000_000)]


class TopUp(BaseModel):
    """A payment that came in; the reference is the payer's own id for it."""

    model_config = ConfigDict(extra="forbid")

    workspace_id: str | None = None  # default: the key's own
    amount: Dollars
    reference: Reference


class CheckoutRequest(BaseModel):
    """How much is to be paid on the payment provider's page, and where it leads back to."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[float, Field(strict=True, ge=1, le=100_000)]
    return_url: Annotated[str, StringConstraints(pattern=r"^https?://", max_length=2_000)]


class BudgetBody(BaseModel):
    """A budget as it is to be. `soft` tells and never refuses."""

    model_config = ConfigDict(extra="forbid")

    limit_usd: Dollars
    soft: bool = False


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
