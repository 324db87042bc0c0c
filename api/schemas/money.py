"""Bodies of the routes about money. Amounts are US dollars."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Reference = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Dollars = Annotated[float, Field(gt=0, le=10_000_000)]


class TopUp(BaseModel):
    """A payment that came in; the reference is the payer's own id for it."""

    model_config = ConfigDict(extra="forbid")

    workspace_id: str | None = None  # default: the key's own
    amount: Dollars
    reference: Reference


class BudgetBody(BaseModel):
    """A budget as it is to be. `soft` tells and never refuses."""

    model_config = ConfigDict(extra="forbid")

    limit_usd: Dollars
    soft: bool = False
    scope: Literal["workspace", "member", "key"] = "workspace"
    subject_id: str | None = None  # the member's or key's id
