"""/users: the users, administered with a management key of the installation."""

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends
from starlette.responses import Response

from api.accounts import views
from api.accounts.response_schemas import PasswordLink, UserAnswer, UserPage, UserWithLink
from api.accounts.schemas import Limit, Offset, UserBody, UserChangesBody, UserRef
from api.core.bodies import Route
from api.core.dependencies import CallingActor, ServicesDep, require_operator
from api.core.errors import json_response
from broker import accounts
from broker.accounts import Principal
from broker.administration import carry_out, users
from broker.administration.users import NewUser
from broker.errors import NotFoundError

UsersOperator: TypeAlias = Annotated[Principal, Depends(require_operator("handles users"))]

router = APIRouter(route_class=Route, prefix="/users", tags=["users"])


@router.post("", status_code=201, response_model=UserWithLink)
async def create_user(
    services: ServicesDep, _: UsersOperator, actor: CallingActor, body: UserBody
) -> Response:
    """Create a user. The answer has a link to choose a password; it works once."""
    joined = None
    if body.workspace_id is not None:
        joined = await services.database.read(accounts.find_workspace, body.workspace_id)
        if joined is None:
            raise NotFoundError(f"There is no workspace {body.workspace_id}.", param="workspace_id")
    new = NewUser(
        body.email,
        body.name,
        body.is_operator,
        joined and joined.id,
        body.role,
    )
    row = await carry_out(
        services.database, lambda connection: users.create(connection, actor, new)
    )
    token = await carry_out(
        services.database, lambda connection: users.invite(connection, actor, row.id)
    )
    link = users.welcome_link(services.settings, token)
    return json_response({"data": views.render_user(row), "link": link}, 201)


@router.get("", response_model=UserPage)
async def list_users(
    services: ServicesDep, _: UsersOperator, offset: Offset = 0, limit: Limit = 50
) -> Response:
    """List users, oldest first."""
    rows, total = await services.database.read(
        lambda connection: accounts.users.list_users(connection, offset=offset, limit=limit)
    )
    return json_response({"data": [views.render_user(row) for row in rows], "total_count": total})


@router.get("/{user_id}", response_model=UserAnswer)
async def get_user(services: ServicesDep, _: UsersOperator, user_id: UserRef) -> Response:
    """Show a user."""
    row = await services.database.read(users.get_user, user_id)
    return json_response({"data": views.render_user(row)})


@router.patch("/{user_id}", response_model=UserAnswer)
async def change_user(
    services: ServicesDep,
    _: UsersOperator,
    actor: CallingActor,
    body: UserChangesBody,
    user_id: UserRef,
) -> Response:
    """Change a user. A disabled user is signed out at once; absent fields stay."""
    changes = body.model_dump(exclude_unset=True)
    row = await carry_out(
        services.database, lambda connection: users.change(connection, actor, user_id, changes)
    )
    return json_response({"data": views.render_user(row)})


@router.post("/{user_id}/link", status_code=201, response_model=PasswordLink)
async def create_user_link(
    services: ServicesDep, _: UsersOperator, actor: CallingActor, user_id: UserRef
) -> Response:
    """Create a link to choose a new password; it works once."""
    token = await carry_out(
        services.database, lambda connection: users.invite(connection, actor, user_id)
    )
    return json_response({"link": users.welcome_link(services.settings, token)}, 201)
