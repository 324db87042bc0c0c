"""/ redirects to a page; /account shows who is signed in, and where they belong."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.core.services import services_of
from api.pages.page import page, redirect, visitor
from broker.accounts import users
from broker.errors import NotFoundError

router = APIRouter()


@router.get("/")
async def show_the_way(request: Request) -> Response:
    """Send a browser to the API's reference; tell programs where the API is."""
    if "text/html" in request.headers.get("accept", ""):
        return redirect("/docs")
    raise NotFoundError("The API is at /api/v1, its reference at /docs, signing in at /sign-in.")


@router.get("/account")
async def show_account(request: Request) -> Response:
    """Show who is signed in, their workspaces and roles."""
    user = await visitor(request)
    if user is None:
        return redirect("/sign-in?next=/account")
    places = await services_of(request).database.read(users.list_memberships, user.id)
    return page(request, "account.html", user=user, places=places)
