"""/auth: an app asks a user for a key (OpenRouter's PKCE flow)."""

from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from api.accounts.key_routes import columns_of_grant
from api.accounts.key_schemas import AppCodeRequest
from api.core.services import Services, services_of
from api.pages.page import actor_of, page, read_form, redirect, visitor
from broker.accounts import Role, users
from broker.administration import apps, carry_out
from broker.administration.apps import Grant
from broker.errors import InvalidRequestError, WaybillError
from broker.requests.bodies.problems import invalid

router = APIRouter()
ASKED = tuple(AppCodeRequest.model_fields)
HEADLESS = "http://localhost"  # no callback: the code is shown, to be typed into the app


@router.get("/auth")
async def show_consent(request: Request) -> Response:
    """Ask whether the app may have a key, and of which workspace."""
    asked = {name: request.query_params[name] for name in ASKED if name in request.query_params}
    return await _asking(request, asked)


@router.post("/auth")
async def decide(request: Request) -> Response:
    """Send the app its code, or tell it that it was denied."""
    form = await read_form(request)
    asked = {name: form[name] for name in ASKED if form.get(name)}
    callback = asked.get("callback_url")
    user = await visitor(request)
    if user is None:
        return redirect(_sign_in_path(asked))
    if form.get("decision") != "allow":
        if callback is None:
            return page(request, "message.html", title="Denied", text="The app gets no key.")
        apps.check_callback(callback)
        return redirect(_with(callback, error="access_denied"))
    try:
        wanted, host = _read(asked)
        grant = await _grant(services_of(request), user, wanted, host)
    except WaybillError as error:
        return page(request, "message.html", error.status, title="Not possible", text=error.message)
    actor = actor_of(request, user)
    code = await carry_out(
        services_of(request).database, lambda connection: apps.grant_code(connection, actor, grant)
    )
    if callback is None:
        return page(request, "code.html", code=code, app=grant.name)
    return redirect(_with(callback, code=code))


async def _asking(request: Request, asked: dict[str, str]) -> Response:
    try:
        wanted, host = _read(asked)
    except WaybillError as error:
        return page(request, "message.html", error.status, title="Not possible", text=error.message)
    user = await visitor(request)
    if user is None:
        return redirect(_sign_in_path(asked))
    places = await _places(services_of(request), user, wanted.workspace_id)
    if not places:
        text = "You are in no workspace that could give a key."
        return page(request, "message.html", 403, title="Not possible", text=text)
    callback = asked.get("callback_url")
    # a browser follows the policy through the redirect that answers the form
    target = "" if callback is None else "{0.scheme}://{0.netloc}".format(urlsplit(callback))
    return page(
        request, "consent.html",
        form_targets=target, asked=asked, app=wanted.key_label or host, host=host,
        shows_code=callback is None, wanted=wanted, user=user, places=places,
    )  # fmt: skip


def _read(asked: dict[str, str]) -> tuple[AppCodeRequest, str]:
    """Check what an app asks. Raises an error that names the parameter."""
    values: dict[str, Any] = {"callback_url": HEADLESS, **asked}
    if "limit" in values:
        try:
            values["limit"] = float(values["limit"])
        except ValueError:
            raise InvalidRequestError("limit is an amount in US dollars.", param="limit") from None
    try:
        wanted = AppCodeRequest.model_validate(values)
    except ValidationError as error:
        raise invalid(error) from None
    host = apps.check_callback(wanted.callback_url)
    columns_of_grant(wanted)
    return wanted, host if "callback_url" in asked else "a program without a browser"


async def _grant(services: Services, user: Any, wanted: AppCodeRequest, host: str) -> Grant:
    places = await _places(services, user, wanted.workspace_id)
    if not places:
        raise InvalidRequestError("This is no workspace of yours.", param="workspace_id")
    return Grant(
        places[0].id, user.id, wanted.key_label or host, columns_of_grant(wanted),
        wanted.code_challenge, wanted.code_challenge_method,
    )  # fmt: skip


async def _places(services: Services, user: Any, wanted: str | None) -> list[Any]:
    """Return the workspaces whose keys the user may give away: the `wanted` one, or all."""
    places = await services.database.read(users.list_memberships, user.id)
    return [
        place
        for place in places
        if Role(place.role).reaches(Role.MEMBER) and wanted in (None, place.id, place.slug)
    ]


def _sign_in_path(asked: dict[str, str]) -> str:
    return "/sign-in?" + urlencode({"next": "/auth?" + urlencode(asked)})


def _with(callback: str, **answer: str) -> str:
    """Return the app's address with an answer added to its query."""
    parts = urlsplit(callback)
    query = "&".join(part for part in (parts.query, urlencode(answer)) if part)
    return parts._replace(query=query).geturl()
