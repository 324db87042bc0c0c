"""Bodies of the routes about money. Amounts are US dollars."""

from typing import Annotated, Any, TypeAlias

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.core.bodies import DescribedBody, JsonBody

MOST_BYTES = 1_000_000
"""Bytes of a message about a payment."""

Reference = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Dollars = Annotated[float, Field(strict=True, gt=0, le=10_000_000)]


class TopUp(BaseModel):
    """A payment that came in; the reference is the payer's own id for it."""

    model_config = ConfigDict(extra="forbid")

    workspace_id: str | None = None  # default: the key's own
    amount: Dollars
    reference: Reference


class CheckoutRequest(BaseModel):
    """The amount to pay on the payment provider's page, and the URLs to return to."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[float, Field(strict=True, ge=1, le=100_000)]
    return_url: Annotated[str, StringConstraints(pattern=r"^https?://", max_length=2_000)]


class StripeEvent(BaseModel):
    """An event of Stripe (docs.stripe.com/api/events). Other fields are ignored."""

    id: str = Field(description="Stripe's id of the event.")
    type: str = Field(description="`checkout.session.completed` books a payment.")
    data: dict[str, Any] = Field(description="The object that the event is about.")


class BudgetLimitRequest(BaseModel):
    """A budget as it is to be. `soft` tells and never refuses."""

    model_config = ConfigDict(extra="forbid")

    limit_usd: Dollars
    soft: bool = False


TopUpBody: TypeAlias = Annotated[
    TopUp, Depends(JsonBody(TopUp, {"amount": 50, "reference": "inv-2026-0042"}))
]

CheckoutBody: TypeAlias = Annotated[
    CheckoutRequest,
    Depends(
        JsonBody(
            CheckoutRequest,
            {"amount": 25, "return_url": "https://app.example.com/credits"},
            max_bytes=MOST_BYTES,
        )
    ),
]

STRIPE_EVENT = DescribedBody(
    StripeEvent,
    {"id": "evt_…", "object": "event", "type": "checkout.session.completed", "data": {}},
)

BudgetBody: TypeAlias = Annotated[
    BudgetLimitRequest, Depends(JsonBody(BudgetLimitRequest, {"limit_usd": 5, "soft": False}))
]
