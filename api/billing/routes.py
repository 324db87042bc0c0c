"""/credits: payments and balances. /workspaces/{id}/budgets: spending limits for a period."""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from api.billing import stripe_checkout
from api.billing.response_schemas import (
    BookedCreditsAnswer,
    BudgetAnswer,
    BudgetList,
    CheckoutAnswer,
    CreditsAnswer,
    DeletedBudget,
    StripeReceipt,
)
from api.billing.schemas import (
    MAX_BODY_BYTES,
    STRIPE_EVENT,
    STRIPE_SIGNATURE,
    BudgetBody,
    CheckoutBody,
    TopUpBody,
)
from api.core import request as reading
from api.core.auth import actor_of
from api.core.bodies import NO_KEY, Route
from api.core.dependencies import Caller, CallingActor, ServicesDep
from api.core.errors import json_response
from api.core.scope import find_workspace_id
from api.core.services import Services
from broker.accounts import CallerKind, Principal, Role
from broker.accounts.audit import Actor
from broker.administration import billing as administration
from broker.administration import carry_out
from broker.billing import budgets, ledger, payments
from broker.billing.budgets import BudgetLimit, BudgetName, BudgetRequest
from broker.billing.payments import Payment
from broker.clock import moment, now_ms
from broker.completion import Json
from broker.enums import BudgetScope
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


@credits_router.get("/credits", response_model=CreditsAnswer)
async def get_credits(services: ServicesDep, principal: Caller) -> Response:
    """Show the workspace's credit, costs, holds and balance, in US dollars."""
    totals = await services.database.read(ledger.totals, [principal.workspace_id])
    balance = _render_balance(totals[principal.workspace_id])
    return json_response({"data": balance | {"unlimited": principal.unlimited}})


@credits_router.post(
    "/credits",
    status_code=201,
    response_model=BookedCreditsAnswer,
    response_description="The payment was booked.",
    responses={
        200: {
            "model": BookedCreditsAnswer,
            "description": "The payment was booked before, under the same reference.",
        }
    },
)
async def add_credits(
    services: ServicesDep, principal: Bookkeeper, actor: CallingActor, body: TopUpBody
) -> Response:
    """Book a payment for a workspace. A payment with a known reference is not booked again.

    This needs a management key of the whole installation: a workspace cannot confirm its own
    payments.
    """
    nanos = nanos_from_usd(body.amount)
    fee = payments.fee_of(nanos, services.settings)
    workspace_id = body.workspace_id or principal.workspace_id
    payment = Payment(workspace_id, nanos, body.reference, now_ms(), fee)
    booked = await carry_out(
        services.database, lambda connection: administration.add_credit(connection, actor, payment)
    )
    data = {"workspace_id": workspace_id, "reference": body.reference, "fee": usd(fee)}
    status = 201 if booked.is_new else 200
    return json_response({"data": data | _render_balance(booked.totals)}, status)


@credits_router.post("/credits/checkout", status_code=201, response_model=CheckoutAnswer)
async def create_checkout(services: ServicesDep, principal: Caller, body: CheckoutBody) -> Response:
    """Return the URL of a page where the workspace's credit can be paid (Stripe Checkout)."""
    provider = stripe_checkout.find_provider(services.settings)
    cents = round(body.amount * 100)
    url = await provider.create_page(principal.workspace_id, cents, body.return_url)
    return json_response({"data": {"url": url}}, 201)


@credits_router.post(
    "/credits/stripe",
    response_model=StripeReceipt,
    dependencies=[Depends(STRIPE_EVENT), STRIPE_SIGNATURE],
    openapi_extra=NO_KEY,
)
async def receive_stripe_event(request: Request, services: ServicesDep) -> Response:
    """Book a payment that Stripe reports in a signed event. A repeated event has no effect."""
    provider = stripe_checkout.find_provider(services.settings)
    body = await reading.read_bytes(request, MAX_BODY_BYTES)
    paid = provider.read_payment(body, request.headers.get("stripe-signature", ""))
    if paid is not None:
        fee = payments.fee_of(paid.nanos, services.settings)
        payment = Payment(paid.workspace_id, paid.nanos, paid.reference, now_ms(), fee)
        await carry_out(
            services.database,
            lambda connection: administration.add_credit(connection, STRIPE, payment),
        )
    return json_response({"received": True})


def _render_balance(totals: ledger.LedgerTotals) -> Json:
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
class BudgetTarget:
    """The subject of the budgets of a request: a workspace, or a member or key in it."""

    services: Services
    actor: Actor
    workspace_id: str
    scope: BudgetScope
    subject_id: str

    @property
    def database(self) -> Database:
        return self.services.database


async def find_target(
    request: Request,
    services: ServicesDep,
    workspace_ref: Annotated[str, Path(description="The id or the slug of the workspace.")],
    scope: Annotated[
        BudgetScope,
        Query(description="Whose budget: that of the workspace, of a member or of a key."),
    ] = BudgetScope.WORKSPACE,
    subject_id: Annotated[
        str | None, Query(description="The id of the member or key; absent for the workspace.")
    ] = None,
) -> BudgetTarget:
    """Return the subject of a request's budgets.

    Raises NotFoundError for an unknown workspace, PermissionDeniedError for a caller that may not
    see or change it, and InvalidRequestError for a `subject_id` that does not fit the scope.
    """
    least = Role.VIEWER if request.method == "GET" else Role.ADMIN
    principal = await services.keyring.administrator(request, least)
    workspace_id = await find_workspace_id(services, principal, workspace_ref)
    if (scope is BudgetScope.WORKSPACE) is not (subject_id is None):
        raise InvalidRequestError(
            "subject_id: the id of the member or key, where scope is `member` or `key`.",
            param="subject_id",
        )
    actor = actor_of(request, principal)
    return BudgetTarget(services, actor, workspace_id, scope, subject_id or workspace_id)


Target: TypeAlias = Annotated[BudgetTarget, Depends(find_target)]
Interval: TypeAlias = Annotated[Reset, Path(description="The period of the budget.")]


@budgets_router.get("", response_model=BudgetList)
async def list_budgets(target: Target) -> Response:
    """List the workspace's budgets of every scope, with their spending."""
    now = now_ms()
    limits = await target.database.read(budgets.workspace_budgets, target.workspace_id, now)
    return json_response({"data": [_render_budget(each, now) for each in limits]})


@budgets_router.get("/{interval}", response_model=BudgetAnswer)
async def get_budget(target: Target, interval: Interval) -> Response:
    """Show one budget. `scope` and `subject_id` select the budget of a member or key."""
    now = now_ms()
    limits = await target.database.read(budgets.workspace_budgets, target.workspace_id, now)
    for each in limits:
        if (each.scope, each.subject_id, each.reset) == (target.scope, target.subject_id, interval):
            return json_response({"data": _render_budget(each, now)})
    raise _missing_error(interval)


@budgets_router.put("/{interval}", response_model=BudgetAnswer)
async def put_budget(target: Target, body: BudgetBody, interval: Interval) -> Response:
    """Create or change a budget. It applies to every new job within a second."""
    request = BudgetRequest(
        workspace_id=target.workspace_id,
        scope=target.scope,
        subject_id=target.subject_id,
        reset=interval,
        nanos=nanos_from_usd(body.limit_usd),
        soft=body.soft,
        now=now_ms(),
    )
    limit = await carry_out(
        target.database,
        lambda connection: administration.put_budget(connection, target.actor, request),
    )
    return json_response({"data": _render_budget(limit, request.now)})


@budgets_router.delete("/{interval}", response_model=DeletedBudget)
async def delete_budget(target: Target, interval: Interval) -> Response:
    """Remove a budget."""
    name = BudgetName(target.workspace_id, target.scope, target.subject_id, interval)
    removed = await carry_out(
        target.database,
        lambda connection: administration.remove_budget(connection, target.actor, name),
    )
    if not removed:
        raise _missing_error(interval)
    return json_response({"deleted": True})


def _missing_error(interval: Interval) -> NotFoundError:
    return NotFoundError(f"There is no such {interval.value} budget.")


def _render_budget(limit: BudgetLimit, now: int) -> Json:
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
