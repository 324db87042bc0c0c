"""Pages under /auth: an app requests a key of a user (OpenRouter's PKCE flow)."""

from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from api.accounts.key_routes import columns_of_grant
from api.accounts.key_schemas import AppCodeRequest
from api.core.services import Services, get_services
from api.pages.page import actor_of, find_visitor, read_form, redirect, render_page
from broker.accounts import Role, users
from broker.accounts.users import Membership, UserRow
from broker.administration import apps, carry_out
from broker.administration.apps import Grant
from broker.errors import InvalidRequestError, WaybillError
from broker.requests.bodies.problems import build_error

router = APIRouter()
PARAMETERS = tuple(AppCodeRequest.model_fields)
NO_CALLBACK_URL = "http://localhost"
"""The callback of an app that has none: the user types the code into it."""


@router.get("/auth")
async def show_consent(request: Request) -> Response:
    """Let the user allow or deny the app a key, and choose its workspace."""
    parameters = {
        name: request.query_params[name] for name in PARAMETERS if name in request.query_params
    }
    return await _render_consent(request, parameters)


@router.post("/auth")
async def decide(request: Request) -> Response:
    """Send the app its code, or the error that the user denied it."""
    form = await read_form(request)
    parameters = {name: form[name] for name in PARAMETERS if form.get(name)}
    callback = parameters.get("callback_url")
    user = await find_visitor(request)
    if user is None:
        return redirect(_sign_in_path(parameters))
    if form.get("decision") != "allow":
        if callback is None:
            return render_page(request, "message.html", title="Denied", text="The app gets no key.")
        apps.check_callback(callback)
        return redirect(_add_to_query(callback, error="access_denied"))
    try:
        key_request, host = _read_parameters(parameters)
        grant = await _build_grant(get_services(request), user, key_request, host)
    except WaybillError as error:
        return render_page(
            request, "message.html", error.status, title="Not possible", text=error.message
        )
    actor = actor_of(request, user)
    code = await carry_out(
        get_services(request).database, lambda connection: apps.grant_code(connection, actor, grant)
    )
    if callback is None:
        return render_page(request, "code.html", code=code, app=grant.name)
    return redirect(_add_to_query(callback, code=code))


async def _render_consent(request: Request, parameters: dict[str, str]) -> Response:
    try:
        key_request, host = _read_parameters(parameters)
    except WaybillError as error:
        return render_page(
            request, "message.html", error.status, title="Not possible", text=error.message
        )
    user = await find_visitor(request)
    if user is None:
        return redirect(_sign_in_path(parameters))
    workspaces = await _list_workspaces(get_services(request), user, key_request.workspace_id)
    if not workspaces:
        text = "You are in no workspace that could give a key."
        return render_page(request, "message.html", 403, title="Not possible", text=text)
    callback = parameters.get("callback_url")
    # browsers apply the policy also to the redirect after the form
    target = "" if callback is None else "{0.scheme}://{0.netloc}".format(urlsplit(callback))
    return render_page(
        request, "consent.html",
        form_targets=target, parameters=parameters, app=key_request.key_label or host, host=host,
        shows_code=callback is None, key_request=key_request, user=user, workspaces=workspaces,
    )  # fmt: skip


def _read_parameters(parameters: dict[str, str]) -> tuple[AppCodeRequest, str]:
    """Return the request of an app and its host. Raises InvalidRequestError with the parameter."""
    values: dict[str, Any] = {"callback_url": NO_CALLBACK_URL, **parameters}
    if "limit" in values:
        try:
            values["limit"] = float(values["limit"])
        except ValueError:
            raise InvalidRequestError("limit is an amount in US dollars.", param="limit") from None
    try:
        key_request = AppCodeRequest.model_validate(values)
    except ValidationError as error:
        raise build_error(error, values) from None
    host = apps.check_callback(key_request.callback_url)
    columns_of_grant(key_request)
    return key_request, host if "callback_url" in parameters else "a program without a browser"


async def _build_grant(
    services: Services, user: UserRow, key_request: AppCodeRequest, host: str
) -> Grant:
    workspaces = await _list_workspaces(services, user, key_request.workspace_id)
    if not workspaces:
        raise InvalidRequestError("This is no workspace of yours.", param="workspace_id")
    return Grant(
        workspaces[0].id, user.id, key_request.key_label or host, columns_of_grant(key_request),
        key_request.code_challenge, key_request.code_challenge_method,
    )  # fmt: skip


async def _list_workspaces(
    services: Services, user: UserRow, chosen: str | None
) -> list[Membership]:
    """Return the workspaces of which the user may give a key: the chosen one, or all."""
    memberships = await services.database.read(users.list_memberships, user.id)
    return [
        each
        for each in memberships
        if Role(each.role).reaches(Role.MEMBER) and chosen in (None, each.id, each.slug)
    ]


def _sign_in_path(parameters: dict[str, str]) -> str:
    return "/sign-in?" + urlencode({"next": "/auth?" + urlencode(parameters)})


def _add_to_query(callback: str, **added: str) -> str:
    """Return the app's URL with these parameters added to its query."""
    parts = urlsplit(callback)
    query = "&".join(part for part in (parts.query, urlencode(added)) if part)
    return parts._replace(query=query).geturl()
