"""Who looks at a page."""

from typing import Any

from starlette.requests import Request

from api.core.services import services_of
from api.sessions import SESSION_COOKIE
from broker.accounts.sessions import session_user
from broker.audit import Actor


async def visitor(request: Request) -> Any | None:
    """Return the row of who is signed in, if somebody is."""
    token = request.cookies.get(SESSION_COOKIE)
    if token is None:
        return None
    return await services_of(request).database.read(session_user, token)


def address_of(request: Request) -> str | None:
    return request.client.host if request.client else None


def actor_of(request: Request, user: Any) -> Actor:
    return Actor(user.id, user.email, address_of(request))
