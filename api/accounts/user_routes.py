"""/users: who may sign in, administered with a management key of the installation."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.accounts import views
from api.accounts.schemas import USER_BODY, USER_CHANGES_BODY, UserChanges, UserRequest
from api.accounts.workspace_routes import Limit, Offset, user_page
from api.core import request as reading
from api.core.auth import actor_of
from api.core.errors import json_response
from api.core.services import Services, services_of
from broker import accounts
from broker.accounts import Principal
from broker.administration import carry_out, users
from broker.administration.users import NewUser
from broker.errors import NotFoundError, PermissionDeniedError

router = APIRouter(prefix="/users", tags=["users"])


@router.post("", status_code=201, openapi_extra=USER_BODY)
async def create_user(request: Request) -> Response:
    """Make a user. The answer has a link with which they choose a password, once."""
    services = services_of(request)
    principal = await _operator(request, services)
    wanted = await reading.read_body(request, services, UserRequest)
    joined = None
    if wanted.workspace_id is not None:
        joined = await services.database.read(accounts.find_workspace, wanted.workspace_id)
        if joined is None:
            raise NotFoundError(
                f"There is no workspace {wanted.workspace_id}.", param="workspace_id"
            )
    new = NewUser(
        wanted.email,
        wanted.name,
        wanted.is_operator,
        joined and joined.id,
        wanted.role,
    )
    actor = actor_of(request, principal)
    row = await carry_out(
        services.database, lambda connection: users.create(connection, actor, new)
    )
    token = await carry_out(
        services.database, lambda connection: users.invite(connection, actor, row.id)
    )
    link = users.welcome_link(services.settings, token)
    return json_response({"data": views.user(row), "link": link}, 201)


@router.get("")
async def list_users(request: Request, offset: Offset = 0, limit: Limit = 50) -> Response:
    """List users, oldest first."""
    services = services_of(request)
    await _operator(request, services)
    rows, total = await services.database.read(user_page, offset, limit)
    return json_response({"data": [views.user(row) for row in rows], "total_count": total})


@router.get("/{user_id}")
async def get_user(request: Request, user_id: str) -> Response:
    """Show a user, by id or e-mail address."""
    services = services_of(request)
    await _operator(request, services)
    row = await services.database.read(users.get_user, user_id)
    return json_response({"data": views.user(row)})


@router.patch("/{user_id}", openapi_extra=USER_CHANGES_BODY)
async def change_user(request: Request, user_id: str) -> Response:
    """Rename a user, disable them (they are signed out at once), or make them an operator."""
    services = services_of(request)
    principal = await _operator(request, services)
    changes = (await reading.read_body(request, services, UserChanges)).model_dump(
        exclude_unset=True
    )
    actor = actor_of(request, principal)
    row = await carry_out(
        services.database, lambda connection: users.change(connection, actor, user_id, changes)
    )
    return json_response({"data": views.user(row)})


@router.post("/{user_id}/link", status_code=201)
async def create_user_link(request: Request, user_id: str) -> Response:
    """Make a link with which the user chooses a new password, once."""
    services = services_of(request)
    principal = await _operator(request, services)
    actor = actor_of(request, principal)
    token = await carry_out(
        services.database, lambda connection: users.invite(connection, actor, user_id)
    )
    return json_response({"link": users.welcome_link(services.settings, token)}, 201)


async def _operator(request: Request, services: Services) -> Principal:
    principal = await services.keyring.administrator(request)
    if not principal.everywhere:
        raise PermissionDeniedError(
            "Only a management key of the installation handles users: `waybill keys create "
            "--everywhere` makes one."
        )
    return principal
