"""The page /welcome: the first user's link, and invitations to choose a password."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.core.services import Services, get_services
from api.pages.page import read_form, redirect, render_page, sign_in
from broker.accounts import sessions, tokens, users
from broker.administration import carry_out
from broker.administration import users as people
from broker.administration.users import NewUser
from broker.enums import TokenPurpose
from broker.errors import WaybillError

router = APIRouter()
INVALID_LINK = "This link has been used, or has expired: ask for another."


@router.get("/welcome")
async def show_welcome(request: Request, token: str = "") -> Response:
    """Show the form for the first user, or for the password of an invited one."""
    purpose = await _find_purpose(get_services(request), token)
    if purpose is None:
        return render_page(request, "message.html", 403, title="Link not valid", text=INVALID_LINK)
    return _render_form(request, token, purpose)


@router.post("/welcome")
async def accept_welcome(request: Request) -> Response:
    """Use the link, which works once, and open a session."""
    services = get_services(request)
    form = await read_form(request)
    token, password = form.get("token", ""), form.get("password", "")
    purpose = await _find_purpose(services, token)
    if purpose is None:
        return render_page(request, "message.html", 403, title="Link not valid", text=INVALID_LINK)
    try:
        users.check_password(password)
        hashed = await asyncio.to_thread(users.hash_password, password)
        if purpose is TokenPurpose.FIRST_USER:
            new = NewUser(form.get("email", ""), form.get("name", ""))
            user = await carry_out(
                services.database,
                lambda connection: people.become_first_user(connection, token, new, hashed),
            )
        else:
            user = await carry_out(
                services.database,
                lambda connection: people.choose_password(connection, token, hashed),
            )
    except WaybillError as error:
        entered = {name: form.get(name, "") for name in ("email", "name")}
        return _render_form(request, token, purpose, error.message, error.status, **entered)
    session = await carry_out(
        services.database, lambda connection: sessions.open_session(connection, user.id)
    )
    return sign_in(request, redirect("/dashboard"), session)


def _render_form(
    request: Request,
    token: str,
    purpose: TokenPurpose,
    problem: str | None = None,
    status: int = 200,
    **entered: str,
) -> Response:
    values: dict[str, Any] = {
        "token": token,
        "email": "",
        "name": "",
        "problem": problem,
        **entered,
    }
    is_first = purpose is TokenPurpose.FIRST_USER
    least = users.MIN_PASSWORD_LENGTH
    return render_page(request, "welcome.html", status, is_first=is_first, least=least, **values)


async def _find_purpose(services: Services, token: str) -> TokenPurpose | None:
    """Return the purpose of a link, or None if it is not valid."""
    if await services.database.read(tokens.find, token, TokenPurpose.PASSWORD) is not None:
        return TokenPurpose.PASSWORD
    if await services.database.read(users.has_users):
        return None
    found = await services.database.read(tokens.find, token, TokenPurpose.FIRST_USER)
    return None if found is None else TokenPurpose.FIRST_USER
