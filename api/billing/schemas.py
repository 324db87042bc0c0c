"""Bodies of the routes about money. Amounts are US dollars."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.core.openapi_bodies import body, object_body

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


TOP_UP_BODY = body(TopUp, {"amount": 50, "reference": "inv-2026-0042"})

CHECKOUT_BODY = body(
    CheckoutRequest, {"amount": 25, "return_url": "https://app.example.com/credits"}
)

STRIPE_EVENT_BODY = object_body(
    {"id": "evt_…", "object": "event", "type": "checkout.session.completed", "data": {}}
)

BUDGET_BODY = body(BudgetBody, {"limit_usd": 5, "soft": False})
