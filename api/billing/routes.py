"""/workspaces/{id}/budgets: what may be spent in a day, a week, a month, or ever."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.account_scope import workspace_of
from api.billing.schemas import BUDGET_BODY, BudgetBody
from api.core import request as reading
from api.core.auth import actor_of
from api.core.errors import json_response
from api.core.services import Services, services_of
from broker import budgets
from broker.accounts import Role
from broker.administration import carry_out
from broker.administration import money as administration
from broker.audit import Actor
from broker.bodies import validated
from broker.budgets import BudgetName, BudgetWish, Limit, Scope
from broker.clock import moment, now_ms
from broker.completion import Json
from broker.database import Database
from broker.errors import InvalidRequestError, NotFoundError
from broker.money import nanos_from_usd, usd
from broker.usage import Reset, ends_at

router = APIRouter(prefix="/workspaces/{workspace_ref}/budgets", tags=["budgets"])


@dataclass(frozen=True, slots=True)
class Place:
    """The workspace that a request is about, whose budget in it, and who asks."""

    services: Services
    actor: Actor
    workspace_id: str
    scope: Scope
    subject_id: str

    @property
    def database(self) -> Database:
        return self.services.database


async def place(
    request: Request,
    workspace_ref: str,
    scope: Scope = Scope.WORKSPACE,
    subject_id: str | None = None,
) -> Place:
    """Find the workspace. Raises where the caller may not look, or change where that is asked."""
    services = services_of(request)
    least = Role.VIEWER if request.method == "GET" else Role.ADMIN
    principal = await services.keyring.administrator(request, least)
    workspace_id = await workspace_of(services, principal, workspace_ref)
    if (scope is Scope.WORKSPACE) is not (subject_id is None):
        raise InvalidRequestError(
            "subject_id: the id of the member or key, where scope is `member` or `key`.",
            param="subject_id",
        )
    actor = actor_of(request, principal)
    return Place(services, actor, workspace_id, scope, subject_id or workspace_id)


Here = Annotated[Place, Depends(place)]


@router.get("")
async def list_budgets(here: Here) -> Response:
    """List the workspace's budgets of every scope, and where they stand."""
    now = now_ms()
    limits = await here.database.read(budgets.workspace_budgets, here.workspace_id, now)
    return json_response({"data": [_shown(each, now) for each in limits]})


@router.get("/{interval}")
async def get_budget(here: Here, interval: Reset) -> Response:
    """Show one budget; `scope` and `subject_id` name a member's or a key's."""
    now = now_ms()
    limits = await here.database.read(budgets.workspace_budgets, here.workspace_id, now)
    for each in limits:
        if (each.scope, each.subject_id, each.reset) == (here.scope, here.subject_id, interval):
            return json_response({"data": _shown(each, now)})
    raise _missing(interval)


@router.put("/{interval}", openapi_extra=BUDGET_BODY)
async def put_budget(request: Request, here: Here, interval: Reset) -> Response:
    """Make or change a budget. From within a second on it holds for every new job."""
    body = await reading.read_json(request, here.services.settings.max_body_bytes)
    wanted = validated(BudgetBody, body)
    wish = BudgetWish(
        workspace_id=here.workspace_id,
        scope=here.scope,
        subject_id=here.subject_id,
        reset=interval,
        nanos=nanos_from_usd(wanted.limit_usd),
        soft=wanted.soft,
        now=now_ms(),
    )
    limit = await carry_out(
        here.database, lambda connection: administration.put_budget(connection, here.actor, wish)
    )
    return json_response({"data": _shown(limit, wish.now)})


@router.delete("/{interval}")
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


def _shown(limit: Limit, now: int) -> Json:
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
