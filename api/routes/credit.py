"""/credits: what a workspace has paid in and spent, and payments as they come in."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.billing import stripe_checkout
from api.billing.schemas import (
    CHECKOUT_BODY,
    STRIPE_EVENT_BODY,
    TOP_UP_BODY,
    CheckoutRequest,
    TopUp,
)
from api.core import request as reading
from api.core.auth import actor_of
from api.core.errors import json_response
from api.core.openapi_bodies import NO_KEY
from api.core.services import services_of
from broker import ledger, payments
from broker.accounts import CallerKind
from broker.administration import carry_out, money
from broker.audit import Actor
from broker.bodies import validated
from broker.clock import now_ms
from broker.completion import Json
from broker.errors import PermissionDeniedError
from broker.money import nanos_from_usd, usd
from broker.payments import Payment

MOST_BYTES = 1_000_000  # of a message about a payment
STRIPE = Actor("stripe", "Stripe")

router = APIRouter(tags=["credits"])


@router.get("/credits")
async def get_credits(request: Request) -> Response:
    """Show the workspace's credit, use, open holds and balance, in US dollars."""
    services = services_of(request)
    principal = await services.keyring.principal(request)
    totals = await services.database.read(ledger.totals, [principal.workspace_id])
    standing = _standing(totals[principal.workspace_id]) | {"unlimited": principal.unlimited}
    return json_response({"data": standing})


@router.post(
    "/credits",
    status_code=201,
    openapi_extra=TOP_UP_BODY,
    responses={200: {"description": "Booked before, under the same reference."}},
)
async def add_credits(request: Request) -> Response:
    """Book a payment for a workspace; the same reference again changes nothing.

    For management keys of the whole installation: who pays does not also say that they paid.
    """
    services = services_of(request)
    principal = await services.keyring.principal(request)
    if principal.kind is not CallerKind.MANAGEMENT or not principal.everywhere:
        raise PermissionDeniedError(
            "Only a management key of the whole installation may book payments; on the server, "
            "`waybill credits add` does."
        )
    wanted = await reading.asked(request, services, TopUp)
    nanos = nanos_from_usd(wanted.amount)
    fee = payments.fee_of(nanos, services.settings)
    workspace_id = wanted.workspace_id or principal.workspace_id
    payment = Payment(workspace_id, nanos, wanted.reference, now_ms(), fee)
    actor = actor_of(request, principal)
    booked = await carry_out(
        services.database, lambda connection: money.add_credit(connection, actor, payment)
    )
    told = {"workspace_id": workspace_id, "reference": wanted.reference, "fee": usd(fee)}
    status = 201 if booked.is_new else 200
    return json_response({"data": told | _standing(booked.totals)}, status)


@router.post("/credits/checkout", status_code=201, openapi_extra=CHECKOUT_BODY)
async def create_checkout(request: Request) -> Response:
    """Return the URL of a page where the workspace's credit can be paid (Stripe Checkout)."""
    services = services_of(request)
    principal = await services.keyring.principal(request)
    wanted = validated(CheckoutRequest, await reading.read_json(request, MOST_BYTES))
    provider = stripe_checkout.provider(services.settings)
    cents = round(wanted.amount * 100)
    url = await provider.checkout(principal.workspace_id, cents, wanted.return_url)
    return json_response({"data": {"url": url}}, 201)


@router.post("/credits/stripe", openapi_extra=STRIPE_EVENT_BODY | NO_KEY)
async def receive_stripe_event(request: Request) -> Response:
    """Book what Stripe says was paid: signed by it, and once however often it says so."""
    services = services_of(request)
    provider = stripe_checkout.provider(services.settings)
    body = await reading.read_bytes(request, MOST_BYTES)
    paid = provider.paid(body, request.headers.get("stripe-signature", ""))
    if paid is not None:
        fee = payments.fee_of(paid.nanos, services.settings)
        payment = Payment(paid.workspace_id, paid.nanos, paid.reference, now_ms(), fee)
        await carry_out(
            services.database, lambda connection: money.add_credit(connection, STRIPE, payment)
        )
    return json_response({"received": True})


def _standing(totals: ledger.Totals) -> Json:
    return {
        "total_credits": usd(totals.credited),
        "total_usage": usd(totals.spent),
        "held": usd(totals.held),
        "balance": usd(totals.available),
    }
