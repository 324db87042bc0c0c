"""/credits: payments and balances. /workspaces/{id}/budgets: what may be spent in a period."""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from api.billing import stripe_checkout
from api.billing.schemas import MOST_BYTES, STRIPE_EVENT, BudgetBody, CheckoutBody, TopUpBody
from api.core import request as reading
from api.core.auth import actor_of
from api.core.bodies import NO_KEY, Route
from api.core.dependencies import Caller, CallingActor, ServicesDep
from api.core.errors import json_response
from api.core.scope import workspace_of
from api.core.services import Services
from broker.accounts import CallerKind, Principal, Role
from broker.accounts.audit import Actor
from broker.administration import billing, carry_out
from broker.administration import billing as administration
from broker.billing import budgets, ledger, payments
from broker.billing.budgets import BudgetLimit, BudgetName, BudgetRequest, BudgetScope
from broker.billing.payments import Payment
from broker.clock import moment, now_ms
from broker.completion import Json
from broker.errors import InvalidRequestError, NotFoundError, PermissionDeniedError
from broker.money import nanos_from_usd, usd
from broker.storage.database import Database
from broker.usage import Reset, ends_at

STRIPE = Actor("stripe", "Stripe")


async def require_bookkeeper(principal: Caller) -> Principal:
    """Return a caller that may book payments. Raises PermissionDeniedError."""
    if principal.kind is not CallerKind.MANAGEMENT or not principal.everywhere:
        raise PermissionDeniedError(
            "Only a management key of the whole installation may book payments; on the server, "
            "`waybill credits add` does."
        )
    return principal


Bookkeeper: TypeAlias = Annotated[Principal, Depends(require_bookkeeper)]

credits_router = APIRouter(route_class=Route, tags=["credits"])


@credits_router.get("/credits")
async def get_credits(services: ServicesDep, principal: Caller) -> Response:
    """Show the workspace's credit, use, open holds and balance, in US dollars."""
    totals = await services.database.read(ledger.totals, [principal.workspace_id])
    standing = _standing(totals[principal.workspace_id]) | {"unlimited": principal.unlimited}
    return json_response({"data": standing})


@credits_router.post(
    "/credits",
    status_code=201,
    responses={200: {"description": "Booked before, under the same reference."}},
)
async def add_credits(
    services: ServicesDep, principal: Bookkeeper, actor: CallingActor, body: TopUpBody
) -> Response:
    """Book a payment for a workspace; the same reference again changes nothing.

    For management keys of the whole installation: who pays does not also say that they paid.
    """
    nanos = nanos_from_usd(body.amount)
    fee = payments.fee_of(nanos, services.settings)
    workspace_id = body.workspace_id or principal.workspace_id
    payment = Payment(workspace_id, nanos, body.reference, now_ms(), fee)
    booked = await carry_out(
        services.database, lambda connection: billing.add_credit(connection, actor, payment)
    )
    told = {"workspace_id": workspace_id, "reference": body.reference, "fee": usd(fee)}
    status = 201 if booked.is_new else 200
    return json_response({"data": told | _standing(booked.totals)}, status)


@credits_router.post("/credits/checkout", status_code=201)
async def create_checkout(services: ServicesDep, principal: Caller, body: CheckoutBody) -> Response:
    """Return the URL of a page where the workspace's credit can be paid (Stripe Checkout)."""
    provider = stripe_checkout.provider(services.settings)
    cents = round(body.amount * 100)
    url = await provider.checkout(principal.workspace_id, cents, body.return_url)
    return json_response({"data": {"url": url}}, 201)


@credits_router.post("/credits/stripe", dependencies=[Depends(STRIPE_EVENT)], openapi_extra=NO_KEY)
async def receive_stripe_event(request: Request, services: ServicesDep) -> Response:
    """Book what Stripe says was paid: signed by it, and once however often it says so."""
    provider = stripe_checkout.provider(services.settings)
    body = await reading.read_bytes(request, MOST_BYTES)
    paid = provider.paid(body, request.headers.get("stripe-signature", ""))
    if paid is not None:
        fee = payments.fee_of(paid.nanos, services.settings)
        payment = Payment(paid.workspace_id, paid.nanos, paid.reference, now_ms(), fee)
        await carry_out(
            services.database, lambda connection: billing.add_credit(connection, STRIPE, payment)
        )
    return json_response({"received": True})


def _standing(totals: ledger.LedgerTotals) -> Json:
    return {
        "total_credits": usd(totals.credited),
        "total_usage": usd(totals.spent),
        "held": usd(totals.held),
        "balance": usd(totals.available),
    }


budgets_router = APIRouter(
    route_class=Route, prefix="/workspaces/{workspace_ref}/budgets", tags=["budgets"]
)


@dataclass(frozen=True, slots=True)
class Place:
    """The workspace that a request is about, whose budget in it, and who asks."""

    services: Services
    actor: Actor
    workspace_id: str
    scope: BudgetScope
    subject_id: str

    @property
    def database(self) -> Database:
        return self.services.database


async def place(
    request: Request,
    services: ServicesDep,
    workspace_ref: Annotated[str, Path(description="The id or the slug of the workspace.")],
    scope: BudgetScope = BudgetScope.WORKSPACE,
    subject_id: str | None = None,
) -> Place:
    """Find the workspace. Raises where the caller may not look, or change where that is asked."""
    least = Role.VIEWER if request.method == "GET" else Role.ADMIN
    principal = await services.keyring.administrator(request, least)
    workspace_id = await workspace_of(services, principal, workspace_ref)
    if (scope is BudgetScope.WORKSPACE) is not (subject_id is None):
        raise InvalidRequestError(
            "subject_id: the id of the member or key, where scope is `member` or `key`.",
            param="subject_id",
        )
    actor = actor_of(request, principal)
    return Place(services, actor, workspace_id, scope, subject_id or workspace_id)


Here = Annotated[Place, Depends(place)]


@budgets_router.get("")
async def list_budgets(here: Here) -> Response:
    """List the workspace's budgets of every scope, and where they stand."""
    now = now_ms()
    limits = await here.database.read(budgets.workspace_budgets, here.workspace_id, now)
    return json_response({"data": [_shown(each, now) for each in limits]})


@budgets_router.get("/{interval}")
async def get_budget(here: Here, interval: Reset) -> Response:
    """Show one budget; `scope` and `subject_id` name a member's or a key's."""
    now = now_ms()
    limits = await here.database.read(budgets.workspace_budgets, here.workspace_id, now)
    for each in limits:
        if (each.scope, each.subject_id, each.reset) == (here.scope, here.subject_id, interval):
            return json_response({"data": _shown(each, now)})
    raise _missing(interval)


@budgets_router.put("/{interval}")
async def put_budget(here: Here, body: BudgetBody, interval: Reset) -> Response:
    """Make or change a budget. From within a second on it holds for every new job."""
    wish = BudgetRequest(
        workspace_id=here.workspace_id,
        scope=here.scope,
        subject_id=here.subject_id,
        reset=interval,
        nanos=nanos_from_usd(body.limit_usd),
        soft=body.soft,
        now=now_ms(),
    )
    limit = await carry_out(
        here.database, lambda connection: administration.put_budget(connection, here.actor, wish)
    )
    return json_response({"data": _shown(limit, wish.now)})


@budgets_router.delete("/{interval}")
async def delete_budget(here: Here, interval: Reset) -> Response:
    """Remove a budget."""
    name = BudgetName(here.workspace_id, here.scope, here.subject_id, interval)
    removed = await carry_out(
        here.database, lambda connection: administration.remove_budget(connection, here.actor, name)
    )
    if not removed:
        raise _missing(interval)
    return json_response({"deleted": True})


def _missing(interval: Reset) -> NotFoundError:
    return NotFoundError(f"There is no such {interval.value} budget.")


def _shown(limit: BudgetLimit, now: int) -> Json:
    until = ends_at(limit.reset, now)
    return {
        "id": limit.id,
        "workspace_id": limit.workspace_id,
        "scope": limit.scope.value,
        "subject_id": limit.subject_id,
        "reset_interval": None if limit.reset is Reset.LIFETIME else limit.reset.value,
        "limit_usd": usd(limit.nanos),
        "spend_usd": usd(limit.spent),
        "held_usd": usd(limit.held),
        "remaining_usd": usd(max(limit.left, 0)),
        "resets_at": None if until is None else moment(until),
        "soft": limit.soft,
        "created_at": moment(limit.created_at),
        "updated_at": moment(limit.updated_at),
    }
