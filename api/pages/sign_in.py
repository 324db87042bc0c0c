"""The pages /sign-in and /sign-out: with e-mail address and password."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.core.auth import SESSION_COOKIE
from api.core.services import Services, get_services
from api.pages.page import (
    address_of,
    find_visitor,
    local_path,
    read_form,
    redirect,
    render_page,
    sign_in,
)
from broker import rate_limits
from broker.accounts import sessions, users
from broker.accounts.users import UserRow
from broker.administration import carry_out
from broker.clock import now_ms
from broker.errors import RateLimitedError
from broker.ids import new_id
from broker.rate_limits import LimitKind, RateLimit

router = APIRouter()
TRIES_PER_PAIR = 10  # a minute, for one e-mail address from one IP address
TRIES_PER_VISITOR = 30
TRIES_PER_EMAIL = 100  # more than one visitor has, so that none can lock out a user


@router.get("/sign-in")
async def show_sign_in(request: Request, next: str | None = None) -> Response:  # noqa: A002
    """Show the form for e-mail address and password."""
    next_path = local_path(next)
    if await find_visitor(request) is not None:
        return redirect(next_path)
    return _render_form(request, next_path)


@router.post("/sign-in")
async def accept_sign_in(request: Request) -> Response:
    """Check the password; open a session."""
    services = get_services(request)
    form = await read_form(request)
    email, next_path = form.get("email", "").strip().lower(), local_path(form.get("next"))
    try:
        await _count_try(services, email, address_of(request) or "")
    except RateLimitedError as error:
        return _render_form(request, next_path, email, error.message, 429)
    user = await _check_password(services, email, form.get("password", ""))
    if user is None:
        problem = "This address and password do not belong together."
        return _render_form(request, next_path, email, problem, 403)
    token = await carry_out(
        services.database, lambda connection: sessions.open_session(connection, user.id)
    )
    return sign_in(request, redirect(next_path), token)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Close the session."""
    await read_form(request)
    token = request.cookies.get(SESSION_COOKIE)
    if token is not None:
        await carry_out(
            get_services(request).database,
            lambda connection: sessions.close_session(connection, token),
        )
    response = redirect("/sign-in")
    response.delete_cookie(SESSION_COOKIE)
    return response


def _render_form(
    request: Request, next_path: str, email: str = "", problem: str | None = None, status: int = 200
) -> Response:
    config = get_services(request).settings
    label = config.oidc_label if config.oidc_issuer else None
    values: dict[str, Any] = {
        "next": next_path,
        "email": email,
        "problem": problem,
        "oidc_label": label,
    }
    return render_page(request, "sign_in.html", status, **values)


async def _count_try(services: Services, email: str, address: str) -> None:
    """Count a try. Raises RateLimitedError for too many."""
    email = email[:254]
    limits = [
        RateLimit(LimitKind.RATE, f"sign-in:{email}:{address}", TRIES_PER_PAIR, "Signing in"),
        RateLimit(LimitKind.RATE, f"sign-in-from:{address}", TRIES_PER_VISITOR, "Signing in"),
        RateLimit(LimitKind.RATE, f"sign-in-as:{email}", TRIES_PER_EMAIL, "Signing in"),
    ]
    now = now_ms()
    refusal = await services.limiter.take(limits, new_id("try_"), now)
    if refusal is not None:
        raise rate_limits.error_of(refusal, now)


async def _check_password(services: Services, email: str, password: str) -> UserRow | None:
    """Return the user with this address and password; an unknown address takes as long."""
    user = await services.database.read(users.find_user, email)
    stored = user.password_hash if user is not None else None
    is_correct = await asyncio.to_thread(users.verify_password, stored, password[:1_000])
    return user if is_correct and user is not None and not user.disabled else None
