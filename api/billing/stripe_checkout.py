"""Stripe Checkout as a payment provider: pages to pay on, and signed events about payments.

It needs the optional `stripe` package. `PaymentProvider` is the interface of any payment provider.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from broker.errors import InvalidRequestError, UnavailableError
from broker.money import NANOS_PER_USD
from broker.settings import Settings

MAX_SIGNATURE_AGE_SECONDS = 300  # Stripe's own default
NANOS_PER_CENT = NANOS_PER_USD // 100
PAID_EVENTS = frozenset({"checkout.session.completed", "checkout.session.async_payment_succeeded"})


@dataclass(frozen=True, slots=True)
class ReceivedPayment:
    """A payment that the payment provider has received."""

    workspace_id: str
    nanos: int  # the amount in nano-dollars
    reference: str  # the payment provider's id of the payment


class PaymentProvider(Protocol):
    """A service that receives payments, and reports each by an event to `/credits/stripe`."""

    async def create_page(self, workspace_id: str, cents: int, return_url: str) -> str:
        """Return the URL of a page where this amount can be paid."""

    def read_payment(self, body: bytes, signature: str) -> ReceivedPayment | None:
        """Return the payment that a signed event reports, or None.

        Raises InvalidRequestError for a signature that is not the payment provider's.
        """


class StripeCheckout:
    """Stripe Checkout. The metadata of a session has the id of the workspace."""

    def __init__(self, settings: Settings) -> None:
        self._stripe = _import_stripe()
        bases = {"api": settings.stripe_api_base} if settings.stripe_api_base else None
        self._client = self._stripe.StripeClient(settings.stripe_api_key, base_addresses=bases)
        self._secret = settings.stripe_webhook_secret

    async def create_page(self, workspace_id: str, cents: int, return_url: str) -> str:
        """Return the URL of a page where this amount can be paid."""
        price = {
            "currency": "usd",
            "unit_amount": cents,
            "product_data": {"name": "Prepaid credit"},
        }
        parameters = {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "success_url": return_url,
            "cancel_url": return_url,
            "metadata": {"workspace_id": workspace_id},
        }
        try:
            session = await asyncio.to_thread(
                self._client.v1.checkout.sessions.create, params=parameters
            )
        except self._stripe.StripeError as error:
            raise UnavailableError(f"Stripe does not make a page: {error.user_message}.") from None
        return str(session.url)

    def read_payment(self, body: bytes, signature: str) -> ReceivedPayment | None:
        """Return the payment that a signed event reports, or None."""
        # not `construct_event`: it refuses events of Stripe's second API, which may arrive too
        verify = self._stripe.WebhookSignature.verify_header
        try:
            verify(body.decode(), signature, self._secret, MAX_SIGNATURE_AGE_SECONDS)
            event = orjson.loads(body)
        except (ValueError, self._stripe.SignatureVerificationError):
            raise InvalidRequestError(
                "This message was not signed with WAYBILL_STRIPE_WEBHOOK_SECRET, or long ago.",
                param="Stripe-Signature",
            ) from None
        if event.get("type") not in PAID_EVENTS:  # other events may have any shape
            return None
        session = event["data"]["object"]
        workspace_id = (session.get("metadata") or {}).get("workspace_id")
        is_paid = session.get("payment_status") == "paid" and session.get("currency") == "usd"
        if not is_paid or workspace_id is None:
            return None
        return ReceivedPayment(
            workspace_id, session["amount_total"] * NANOS_PER_CENT, session["id"]
        )


def find_provider(settings: Settings) -> PaymentProvider:
    """Return the configured payment provider. Raises InvalidRequestError if there is none."""
    if not settings.stripe_api_key or not settings.stripe_webhook_secret:
        raise InvalidRequestError(
            "Payments are not set up here: WAYBILL_STRIPE_API_KEY, WAYBILL_STRIPE_WEBHOOK_SECRET."
        )
    return StripeCheckout(settings)


def _import_stripe() -> Any:
    try:
        import stripe  # optional
    except ImportError:
        raise UnavailableError("The `stripe` package is not installed here.") from None
    return stripe
