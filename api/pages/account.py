"""/account: who is signed in, and where they belong."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.core.services import services_of
from api.pages.page import moved, page
from api.pages.visitors import visitor
from broker.accounts import members

router = APIRouter()


@router.get("/account")
async def show_account(request: Request) -> Response:
    """Show who is signed in, their workspaces and roles."""
    user = await visitor(request)
    if user is None:
        return moved("/sign-in?next=/account")
    places = await services_of(request).database.read(members.memberships, user.id)
    return page(request, "account.html", user=user, places=places)
