"""Stripe Checkout as a payment provider: a page to pay on, and Stripe's word that it was paid.

Needs the optional `stripe` package. What any payment provider has to bring is `PaymentProvider`.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from broker.errors import InvalidRequestError, UnavailableError
from broker.money import NANOS_PER_USD
from broker.settings import Settings

SIGNATURE_SECONDS = 300  # how old a message may be: Stripe's own default
NANOS_PER_CENT = NANOS_PER_USD // 100
PAID_EVENTS = frozenset({"checkout.session.completed", "checkout.session.async_payment_succeeded"})


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment that has arrived; the reference is the provider's id for it."""

    workspace_id: str
    nanos: int
    reference: str


class PaymentProvider(Protocol):
    """Takes payments. `paid` is called with what the provider posts to us."""

    async def checkout(self, workspace_id: str, cents: int, return_url: str) -> str:
        """Return the URL of a page where this much can be paid."""

    def paid(self, body: bytes, signature: str) -> Paid | None:
        """Return the payment that a signed message reports, if it reports one.

        Raises InvalidRequestError where the signature is not the provider's.
        """


class StripeCheckout:
    """Pages of Stripe; the workspace travels in a session's metadata."""

    def __init__(self, settings: Settings) -> None:
        self._stripe = _library()
        bases = {"api": settings.stripe_api_base} if settings.stripe_api_base else None
        self._client = self._stripe.StripeClient(settings.stripe_api_key, base_addresses=bases)
        self._secret = settings.stripe_webhook_secret

    async def checkout(self, workspace_id: str, cents: int, return_url: str) -> str:
        price = {
            "currency": "usd",
            "unit_amount": cents,
            "product_data": {"name": "Prepaid credit"},
        }
        asked = {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "success_url": return_url,
            "cancel_url": return_url,
            "metadata": {"workspace_id": workspace_id},
        }
        try:
            session = await asyncio.to_thread(
                self._client.v1.checkout.sessions.create, params=asked
            )
        except self._stripe.StripeError as error:
            raise UnavailableError(f"Stripe does not make a page: {error.user_message}.") from None
        return str(session.url)

    def paid(self, body: bytes, signature: str) -> Paid | None:
        # not `construct_event`: it refuses events of Stripe's second API, which may come too
        verify = self._stripe.WebhookSignature.verify_header
        try:
            verify(body.decode(), signature, self._secret, SIGNATURE_SECONDS)
            event = orjson.loads(body)
        except (ValueError, self._stripe.SignatureVerificationError):
            raise InvalidRequestError(
                "This message was not signed with WAYBILL_STRIPE_WEBHOOK_SECRET, or long ago.",
                param="Stripe-Signature",
            ) from None
        if event.get("type") not in PAID_EVENTS:  # of what others look like nothing is known
            return None
        session = event["data"]["object"]
        workspace_id = (session.get("metadata") or {}).get("workspace_id")
        is_paid = session.get("payment_status") == "paid" and session.get("currency") == "usd"
        if not is_paid or workspace_id is None:
            return None
        return Paid(workspace_id, session["amount_total"] * NANOS_PER_CENT, session["id"])


def provider(settings: Settings) -> PaymentProvider:
    """Return the configured payment provider. Raises InvalidRequestError where there is none."""
    if not settings.stripe_api_key or not settings.stripe_webhook_secret:
        raise InvalidRequestError(
            "Payments are not set up here: WAYBILL_STRIPE_API_KEY, WAYBILL_STRIPE_WEBHOOK_SECRET."
        )
    return StripeCheckout(settings)


def _library() -> Any:
    try:
        import stripe  # noqa: PLC0415  # optional
    except ImportError:
        raise UnavailableError("The `stripe` package is not installed here.") from None
    return stripe
