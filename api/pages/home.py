"""The pages / (redirects to the dashboard) and /account (the signed-in user)."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.core.services import get_services
from api.pages.page import find_visitor, redirect, render_page
from broker.accounts import users
from broker.errors import NotFoundError

router = APIRouter()


@router.get("/")
async def redirect_home(request: Request) -> Response:
    """Redirect a browser to the dashboard; answer programs with 404 and the paths."""
    if "text/html" in request.headers.get("accept", ""):
        return redirect("/dashboard")
    raise NotFoundError("The API is at /api/v1, its reference at /docs, signing in at /sign-in.")


@router.get("/account")
async def show_account(request: Request) -> Response:
    """Show the signed-in user with workspaces and roles."""
    user = await find_visitor(request)
    if user is None:
        return redirect("/sign-in?next=/account")
    workspaces = await get_services(request).database.read(users.list_memberships, user.id)
    return render_page(request, "account.html", user=user, workspaces=workspaces)
