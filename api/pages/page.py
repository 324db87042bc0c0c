"""A page: a template, and headers that let it do nothing but be read and sent back to us."""

import secrets
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.core.services import services_of
from api.pages.forms import FORM_COOKIE, form_token, new_cookie
from api.sessions import SESSION_COOKIE
from broker.accounts.sessions import SESSION_SECONDS

_templates = Environment(
    loader=PackageLoader("api.pages"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
)


def page(
    request: Request, template: str, status: int = 200, *, form_targets: str = "", **values: Any
) -> Response:
    """Render a page with a form token; `form_targets` are origins its form may lead to."""
    nonce = secrets.token_urlsafe(16)
    cookie = request.cookies.get(FORM_COOKIE) or new_cookie()
    signer = services_of(request).signer
    text = _templates.get_template(template).render(
        {"nonce": nonce, "form_token": form_token(signer, cookie), "problem": None, **values}
    )
    response = HTMLResponse(text, status, headers=_headers(nonce, form_targets))
    set_cookie(request, response, FORM_COOKIE, cookie)
    return response


def moved(path: str, headers: Mapping[str, str] | None = None) -> Response:
    """Send the browser on with a GET."""
    return RedirectResponse(path, 303, headers={"Cache-Control": "no-store", **(headers or {})})


def sign_in(request: Request, response: Response, token: str) -> Response:
    """Give the browser its session."""
    set_cookie(request, response, SESSION_COOKIE, token, SESSION_SECONDS)
    return response


def set_cookie(
    request: Request, response: Response, name: str, value: str, seconds: int | None = None
) -> None:
    """Set a cookie that scripts and other sites' forms do not get."""
    public_url = services_of(request).settings.public_url
    is_secure = public_url.startswith("https://") or request.url.scheme == "https"
    response.set_cookie(
        name, value, max_age=seconds, httponly=True, samesite="lax", secure=is_secure
    )


def _headers(nonce: str, form_targets: str) -> dict[str, str]:
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action 'self' {form_targets}"
    )
    return {
        "Content-Security-Policy": policy.strip(),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
