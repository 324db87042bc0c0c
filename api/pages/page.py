"""Shared parts of the pages: rendering, forms with CSRF tokens, redirects, the signed-in user."""

import re
import secrets
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.assets import asset_path
from api.core.auth import SESSION_COOKIE
from api.core.services import get_services
from broker.accounts.audit import Actor
from broker.accounts.sessions import SESSION_SECONDS, find_user_by_token
from broker.accounts.users import UserRow
from broker.errors import PermissionDeniedError
from broker.security.signed_links import Signer

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("api.pages"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
    )
    environment.globals["asset_path"] = asset_path
    return environment


def render_page(
    request: Request, template: str, status: int = 200, *, form_targets: str = "", **values: Any
) -> Response:
    """Render a page with a form token; `form_targets` are the origins that its form may reach."""
    cookie = find_form_cookie(request)
    signer = get_services(request).signer
    text = (
        _templates()
        .get_template(template)
        .render({"form_token": form_token(signer, cookie), "problem": None, **values})
    )
    return respond(request, text, status, cookie, form_targets=form_targets)


def respond(
    request: Request, text: str, status: int, form_cookie: str, *, form_targets: str = ""
) -> Response:
    """Return HTML with the headers and the form cookie of every page."""
    response = HTMLResponse(text, status, headers=_headers(form_targets))
    set_cookie(request, response, FORM_COOKIE, form_cookie)
    return response


def redirect(path: str, headers: Mapping[str, str] | None = None) -> Response:
    """Redirect the browser with a GET."""
    return RedirectResponse(path, 303, headers={"Cache-Control": "no-store", **(headers or {})})


def sign_in(request: Request, response: Response, token: str) -> Response:
    """Set the session cookie."""
    set_cookie(request, response, SESSION_COOKIE, token, SESSION_SECONDS)
    return response


def set_cookie(
    request: Request, response: Response, name: str, value: str, seconds: int | None = None
) -> None:
    """Set a cookie that scripts cannot read and forms of other sites do not send."""
    public_url = get_services(request).settings.public_url
    is_secure = public_url.startswith("https://") or request.url.scheme == "https"
    response.set_cookie(
        name, value, max_age=seconds, httponly=True, samesite="lax", secure=is_secure
    )


POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; font-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
"""The Content-Security-Policy of all pages: nothing comes from another host, no code is inline."""


def _headers(form_targets: str) -> dict[str, str]:
    policy = f"{POLICY} {form_targets}"
    return {
        "Content-Security-Policy": policy.strip(),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


FORM_COOKIE = "waybill_form"
FORM_SECONDS = 8 * 3600
MAX_FORM_BYTES = 100_000


def find_form_cookie(request: Request) -> str:
    """Return the form cookie of the browser, or a new random value for one."""
    return request.cookies.get(FORM_COOKIE) or new_cookie()


def new_cookie() -> str:
    """Return a random value of the form cookie."""
    return secrets.token_urlsafe(24)


def form_token(signer: Signer, cookie: str) -> str:
    """Return the token of the forms of a browser, by its form cookie."""
    return signer.build_link("", f"form:{cookie}", FORM_SECONDS)


async def read_form(request: Request) -> dict[str, str]:
    """Return a form's fields. Raises PermissionDeniedError without a valid form token."""
    async with request.form(max_files=0, max_fields=50, max_part_size=MAX_FORM_BYTES) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
    return check_form_token(request, fields)


def check_form_token(request: Request, fields: dict[str, str]) -> dict[str, str]:
    """Return the fields without the form token. Raises PermissionDeniedError if it is not valid."""
    cookie, token = request.cookies.get(FORM_COOKIE, ""), fields.pop("form_token", "")
    if not cookie or not _is_valid_token(get_services(request).signer, cookie, token):
        raise PermissionDeniedError(
            "This form has expired, or cookies are off: go back, load the page again, send it "
            "again."
        )
    return fields


def _is_valid_token(signer: Signer, cookie: str, token: str) -> bool:
    fields = dict(part.partition("=")[::2] for part in token.lstrip("?").split("&"))
    expires = fields.get("expires", "")
    if not expires.isdecimal():
        return False
    return signer.is_valid(f"form:{cookie}", int(expires), fields.get("signature", ""))


LOCAL = re.compile(
    r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+"  # segments: none is empty, ".", ".." or encoded
    r"(?:\?[!-\[\]-~]*)?",  # a query of visible ASCII characters without a backslash
)


def local_path(path: str | None, default: str = "/dashboard") -> str:
    """Return the path if it is one on this host, else the default.

    Browsers read many texts as another host (two slashes, a backslash, a tab between slashes), so
    this accepts a fixed form instead of refusing known ones.
    """
    return path if path and LOCAL.fullmatch(path) else default


async def find_visitor(request: Request) -> UserRow | None:
    """Return the signed-in user, or None."""
    token = request.cookies.get(SESSION_COOKIE)
    if token is None:
        return None
    return await get_services(request).database.read(find_user_by_token, token)


def address_of(request: Request) -> str | None:
    """Return the IP address of the client."""
    return request.client.host if request.client else None


def actor_of(request: Request, user: UserRow) -> Actor:
    """Return a user as the audit log names them."""
    return Actor(user.id, user.email, address_of(request))
