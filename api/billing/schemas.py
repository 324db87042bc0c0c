"""Bodies of the routes about money. Amounts are US dollars."""

from typing import Annotated, Any, TypeAlias

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.core.bodies import DescribedBody, JsonBody
from api.core.dependencies import describe_header

MAX_BODY_BYTES = 1_000_000
"""The most bytes of a body about a payment."""

Reference = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Dollars = Annotated[float, Field(strict=True, gt=0, le=10_000_000)]


class TopUp(BaseModel):
    """A payment that was received."""

    model_config = ConfigDict(extra="forbid")

    workspace_id: str | None = Field(
        None, description="The id of the workspace; by default the key's own."
    )
    amount: Dollars = Field(description="The amount in US dollars, before the fee.")
    reference: Reference = Field(
        description="Your own id of the payment. A payment with a known reference is not booked "
        "again."
    )


class CheckoutRequest(BaseModel):
    """The amount to pay on the payment provider's page, and the URLs to return to."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[float, Field(strict=True, ge=1, le=100_000)] = Field(
        description="The amount in US dollars; it is rounded to cents."
    )
    return_url: Annotated[str, StringConstraints(pattern=r"^https?://", max_length=2_000)] = Field(
        description="The URL that the page returns to, after a payment or without one."
    )


class StripeEvent(BaseModel):
    """An event of Stripe (docs.stripe.com/api/events). Other fields are ignored."""

    id: str = Field(description="Stripe's id of the event.")
    type: str = Field(description="`checkout.session.completed` books a payment.")
    data: dict[str, Any] = Field(description="The object that the event is about.")


class BudgetLimitRequest(BaseModel):
    """A budget to create or change."""

    model_config = ConfigDict(extra="forbid")

    limit_usd: Dollars = Field(description="The limit for one period, in US dollars.")
    soft: bool = Field(False, description="A soft budget sends events but refuses nothing.")


TopUpBody: TypeAlias = Annotated[
    TopUp, Depends(JsonBody(TopUp, {"amount": 50, "reference": "inv-2026-0042"}))
]

CheckoutBody: TypeAlias = Annotated[
    CheckoutRequest,
    Depends(
        JsonBody(
            CheckoutRequest,
            {"amount": 25, "return_url": "https://app.example.com/credits"},
            max_bytes=MAX_BODY_BYTES,
        )
    ),
]

STRIPE_SIGNATURE = Depends(
    describe_header("Stripe-Signature", "Stripe's signature of the body, with its time.")
)

STRIPE_EVENT = DescribedBody(
    StripeEvent,
    {"id": "evt_…", "object": "event", "type": "checkout.session.completed", "data": {}},
)

BudgetBody: TypeAlias = Annotated[
    BudgetLimitRequest, Depends(JsonBody(BudgetLimitRequest, {"limit_usd": 5, "soft": False}))
]
