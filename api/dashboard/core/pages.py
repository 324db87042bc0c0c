"""Rendering of the dashboard's pages: whole, or their live part again and again (SSE)."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlencode

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.assets import asset_path
from api.core.services import get_services
from api.dashboard.core.api_client import ApiRefusalError
from api.dashboard.core.formats import FILTERS, format_age
from api.dashboard.core.navigation import build_navigation
from api.dashboard.core.visitors import SignInRequiredError, Visitor, read_visitor
from api.pages.page import (
    find_form_cookie,
    form_token,
    redirect,
    render_page,
    respond,
    set_cookie,
)
from broker.errors import WaybillError

if TYPE_CHECKING:
    from jinja2 import Environment

Values: TypeAlias = Mapping[str, Any]
"""The values that a template shows, by name."""
Load: TypeAlias = Callable[[], Awaitable[Values]]
"""Reads what a page shows now."""

LIVE_BLOCK = "live"
"""The block of a template that changes while a page is open."""
IS_FINAL = "is_final"
"""The value of a page that changes no more: its live part ends."""
LIVE_SECONDS = 2.0
"""The time between two readings of a live part."""
LIVE_LIFETIME_SECONDS = 900.0
"""The time after which a live part ends; the browser asks again."""
NOTICE_COOKIE = "waybill_notice"
NOTICE_SECONDS = 30
MAX_NOTICE_LENGTH = 500


@cache
def find_templates() -> "Environment":
    """Return the templates of the dashboard; those of `api.pages` are their base."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=ChoiceLoader([PackageLoader("api.dashboard"), PackageLoader("api.pages")]),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.globals["asset_path"] = asset_path
    return environment


class PageRoute(APIRoute):
    """A route whose refusals are pages, and that sends strangers to sign in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with its refusals turned into pages."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except SignInRequiredError as error:
                return redirect("/sign-in?" + urlencode({"next": error.path}))
            except (ApiRefusalError, WaybillError) as error:
                return await _render_refusal(request, error)

        return answer


async def render(
    request: Request, visitor: Visitor, template: str, values: Values, *, status: int = 200
) -> Response:
    """Return a page with the navigation of its workspace."""
    cookie = find_form_cookie(request)
    notice = request.cookies.get(NOTICE_COOKIE)
    text = (
        find_templates()
        .get_template(template)
        .render(_complete(request, visitor, {"notice": notice, **values}))
    )
    response = respond(request, text, status, cookie)
    if notice is not None:
        response.delete_cookie(NOTICE_COOKIE)
    return response


async def render_live(request: Request, visitor: Visitor, template: str, load: Load) -> Response:
    """Return a page, or to a script its block `live` as server-sent events, when it changes."""
    if "text/event-stream" not in request.headers.get("accept", ""):
        return await render(request, visitor, template, await load())
    streams = get_services(request).open_streams
    streams.take_one(request, visitor.user.id)
    events = _follow(request, visitor, template, load)
    return StreamingResponse(
        events,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def redirect_with_notice(request: Request, path: str, notice: str) -> Response:
    """Redirect the browser; the next page shows the notice once."""
    response = redirect(path)
    kept = notice[:MAX_NOTICE_LENGTH].encode("ascii", "replace").decode()
    set_cookie(request, response, NOTICE_COOKIE, kept, NOTICE_SECONDS)
    return response


def _complete(request: Request, visitor: Visitor, values: Values) -> Values:
    """Return the values of a page with those that all pages have."""
    now, services = time.time(), get_services(request)
    cookie = find_form_cookie(request)
    return {
        "visitor": visitor,
        "root": visitor.root,
        "navigation": build_navigation(visitor, request.url.path),
        "flower_url": services.settings.flower_url if visitor.is_operator else "",
        "form_token": form_token(services.signer, cookie),
        "now": now,
        "age": lambda moment: format_age(moment, now),
        "query": request.query_params,
        "notice": None,
        **values,
    }


async def _follow(
    request: Request, visitor: Visitor, template: str, load: Load
) -> AsyncIterator[str]:
    """Yield the live block as events, each time it differs from the one before."""
    page = find_templates().get_template(template)
    until, sent = time.monotonic() + LIVE_LIFETIME_SECONDS, ""
    while time.monotonic() < until:
        try:
            await read_visitor(request, visitor.place.slug)  # still signed in, and a member
            values = _complete(request, visitor, await load())
        except (ApiRefusalError, SignInRequiredError, WaybillError):
            break
        text = "".join(page.blocks[LIVE_BLOCK](page.new_context(dict(values))))
        if text != sent:
            sent = text
            yield "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
        else:
            yield ": unchanged\n\n"  # finds out that the browser has gone
        if values.get(IS_FINAL):
            break
        await asyncio.sleep(LIVE_SECONDS)
    else:
        return  # the browser asks again
    yield "event: ended\ndata: \n\n"


async def _render_refusal(request: Request, error: ApiRefusalError | WaybillError) -> Response:
    """Return the page about a refusal, with the navigation if the visitor is in a workspace."""
    values = {"status": error.status, "message": error.message}
    workspace = request.path_params.get("workspace")
    try:
        visitor = await read_visitor(request, str(workspace))
    except (SignInRequiredError, WaybillError):
        title = "Not found" if error.status == 404 else "Not possible"  # noqa: PLR2004
        return render_page(request, "message.html", error.status, title=title, text=error.message)
    return await render(request, visitor, "refusal.html", values, status=error.status)
