"""Whoever is signed in, by the cookie of their browser."""

from starlette.requests import Request

from api.headers import header
from broker.accounts import Principal, Role
from broker.accounts.sessions import session_principal
from broker.database import Database
from broker.errors import AuthenticationError, PermissionDeniedError

SESSION_COOKIE = "waybill_session"
WORKSPACE_HEADER = "x-waybill-workspace"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


async def signed_in(request: Request, database: Database) -> Principal:
    """Return who is signed in, acting in the workspace that `X-Waybill-Workspace` names.

    Raises AuthenticationError, and PermissionDeniedError for a page of another site that writes in
    the user's name, or for a viewer who writes.
    """
    wanted = header(request, WORKSPACE_HEADER)
    principal = await database.read(session_principal, request.cookies[SESSION_COOKIE], wanted)
    if principal is None:
        raise AuthenticationError("You are not signed in (any more), or not in this workspace.")
    if request.method not in SAFE_METHODS and not is_same_origin(request):
        raise PermissionDeniedError("A page of another site may not act for you.")
    refuse_viewers(request, principal)
    return principal


def refuse_viewers(request: Request, principal: Principal) -> None:
    """Raise PermissionDeniedError where a viewer changes something."""
    if request.method not in SAFE_METHODS and not principal.role.reaches(Role.MEMBER):
        raise PermissionDeniedError(
            "Changes need the role member or a higher one; yours is viewer."
        )


def is_same_origin(request: Request) -> bool:
    """Whether a browser says that one of our own pages sends this (Fetch Metadata, or Origin)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] == request.headers.get("host")
