"""/workspaces/{id}/budgets: what may be spent in a day, a week, a month, or ever."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api import intake
from api.errors import json_response
from api.schemas.money import BudgetBody
from api.services import Services, services
from broker import accounts, budgets
from broker.accounts import CallerKind, Principal, Role
from broker.budgets import BudgetName, BudgetWish, Limit, Scope
from broker.clock import moment, now_ms
from broker.completion import Json
from broker.database import Database
from broker.errors import InvalidRequestError, NotFoundError, PermissionDeniedError
from broker.money import nanos_from_usd, usd
from broker.usage import Reset, ends_at

router = APIRouter(prefix="/workspaces/{workspace_ref}/budgets", tags=["budgets"])


class Place:
    """The workspace that a request is about, and whose budget in it."""

    def __init__(self, hands: Services, workspace_id: str, scope: Scope, subject_id: str) -> None:
        self.hands = hands
        self.workspace_id = workspace_id
        self.scope = scope
        self.subject_id = subject_id

    @property
    def database(self) -> Database:
        return self.hands.database


async def place(
    request: Request,
    workspace_ref: str,
    scope: Scope = Scope.WORKSPACE,
    subject_id: str | None = None,
) -> Place:
    """Find the workspace. Raises where the caller does not administer it."""
    hands = services(request)
    principal = await hands.keyring.principal(request)
    found = await hands.database.read(accounts.workspace, workspace_ref)
    if found is None or not _administers(principal, found.id):
        raise NotFoundError(f"There is no workspace {workspace_ref}.")
    if principal.kind is CallerKind.INFERENCE:
        raise PermissionDeniedError("Budgets are set with a management key.")
    if (scope is Scope.WORKSPACE) is not (subject_id is None):
        raise InvalidRequestError(
            "subject_id: the id of the member or key, where scope is `member` or `key`.",
            param="subject_id",
        )
    return Place(hands, found.id, scope, subject_id or found.id)


def _administers(principal: Principal, workspace_id: str) -> bool:
    mine = principal.workspace_id == workspace_id and principal.role.reaches(Role.MEMBER)
    return principal.everywhere or mine


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


@router.put("/{interval}")
async def put_budget(request: Request, here: Here, interval: Reset) -> Response:
    """Make or change a budget. From within a second on it holds for every new job."""
    body = await intake.read_json(request, here.hands.settings.max_body_bytes)
    wanted = intake.validated(BudgetBody, body)
    wish = BudgetWish(
        workspace_id=here.workspace_id,
        scope=here.scope,
        subject_id=here.subject_id,
        reset=interval,
        nanos=nanos_from_usd(wanted.limit_usd),
        soft=wanted.soft,
        now=now_ms(),
    )
    limit = await here.database.write(budgets.put_many, wish)
    return json_response({"data": _shown(limit, wish.now)})


@router.delete("/{interval}")
async def delete_budget(here: Here, interval: Reset) -> Response:
    """Remove a budget."""
    name = BudgetName(here.workspace_id, here.scope, here.subject_id, interval)
    if not await here.database.write(budgets.remove_many, name):
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
