"""Webhooks: endpoints, their secrets, and deliveries with their attempts."""

from collections.abc import Mapping
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.dashboard.core.api_client import ApiDep, ApiRefusalError
from api.dashboard.core.forms import read_list, read_number
from api.dashboard.core.pages import (
    PageRoute,
    Values,
    redirect_with_notice,
    render,
    render_live,
)
from api.dashboard.core.visitors import VisitorDep
from api.pages.page import read_form
from api.webhooks.response_schemas import (
    WebhookDelivery,
    WebhookDeliveryDetails,
    WebhookDeliveryPage,
    WebhookEndpoint,
    WebhookEndpointList,
    WebhookEndpointWithSecret,
)
from broker.completion import Json
from broker.webhooks import DeliveryState, PayloadKind, Scheme, SignatureKind

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/webhooks")
PAGE_SIZE = 50
FIELDS = ("url", "description", "events", "payload", "scheme", "signature", "rate_limit")


@router.get("")
async def list_endpoints(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Show the endpoints of the workspace, and the form for another."""
    return await _render_endpoints(request, visitor, api)


@router.post("")
async def create_endpoint(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Create an endpoint, and show its secret once."""
    form = await read_form(request)
    try:
        wanted = _read_options(form)
        created = await api.send("POST", "/webhooks/endpoints", WebhookEndpointWithSecret, wanted)
    except ApiRefusalError as refusal:
        return await _render_endpoints(request, visitor, api, entered=form, refusal=refusal)
    return await _render_endpoints(request, visitor, api, created=created)


@router.post("/endpoints/{endpoint_id}/{action}")
async def change_endpoint(
    request: Request, visitor: VisitorDep, api: ApiDep, endpoint_id: str, action: str
) -> Response:
    """Disable, enable, test, delete or rotate the secret of an endpoint."""
    await read_form(request)
    path = f"/webhooks/endpoints/{endpoint_id}"
    if action == "rotate":
        rotated = await api.send("POST", f"{path}/rotate", WebhookEndpointWithSecret, {})
        return await _render_endpoints(request, visitor, api, created=rotated)
    if action == "test":
        delivery = await api.send("POST", f"{path}/test", WebhookDelivery)
        shown = f"{visitor.root}/webhooks/deliveries/{delivery.id}"
        return redirect_with_notice(request, shown, "The event endpoint.test is sent.")
    if action == "delete":
        await api.change("DELETE", path)
        notice = "The endpoint is deleted."
    elif action in ("disable", "enable"):
        await api.change("PATCH", path, {"disabled": action == "disable"})
        notice = f"The endpoint is {action}d."
    else:
        raise ApiRefusalError(404, f"There is no action {action!r}.")
    return redirect_with_notice(request, f"{visitor.root}/webhooks", notice)


@router.get("/deliveries")
async def list_deliveries(
    request: Request, visitor: VisitorDep, api: ApiDep, status: str = "", after: str | None = None
) -> Response:
    """Show deliveries, newest first, by their state."""
    given = {"status": status} if status else {}

    async def load() -> Values:
        query = {**given, "after": after, "limit": PAGE_SIZE}
        page = await api.get("/webhooks/deliveries", WebhookDeliveryPage, query)
        following = urlencode({**given, "after": page.last_id or ""})
        return {
            "deliveries": page.data,
            "status": status,
            "states": [state.value for state in DeliveryState],
            "after": after,
            "next_path": f"?{following}" if page.has_more else "",
            "first_path": f"?{urlencode(given)}" if after else "",
        }

    return await render_live(request, visitor, "deliveries.html", load)


@router.get("/deliveries/{delivery_id}")
async def show_delivery(
    request: Request, visitor: VisitorDep, api: ApiDep, delivery_id: str
) -> Response:
    """Show one delivery with its payload and its attempts."""

    async def load() -> Values:
        path = f"/webhooks/deliveries/{delivery_id}"
        delivery = await api.get(path, WebhookDeliveryDetails)
        payload = orjson.dumps(delivery.payload, option=orjson.OPT_INDENT_2).decode()
        return {
            "delivery": delivery,
            "payload": payload,
            "is_final": delivery.ended_at is not None,
        }

    return await render_live(request, visitor, "delivery.html", load)


@router.post("/deliveries/{delivery_id}/redeliver")
async def redeliver(
    request: Request, visitor: VisitorDep, api: ApiDep, delivery_id: str
) -> Response:
    """Send a delivery again now."""
    await read_form(request)
    await api.change("POST", f"/webhooks/deliveries/{delivery_id}/redeliver")
    path = f"{visitor.root}/webhooks/deliveries/{delivery_id}"
    return redirect_with_notice(request, path, "It is sent again, with the same webhook-id.")


async def _render_endpoints(
    request: Request,
    visitor: VisitorDep,
    api: ApiDep,
    *,
    created: WebhookEndpoint | None = None,
    entered: Mapping[str, str] | None = None,
    refusal: ApiRefusalError | None = None,
) -> Response:
    endpoints = await api.get("/webhooks/endpoints", WebhookEndpointList)
    values = {
        "endpoints": endpoints.data,
        "created": created,
        "entered": {**dict.fromkeys(FIELDS, ""), **(entered or {})},
        "refusal": refusal,
        "payloads": [each.value for each in PayloadKind],
        "schemes": [each.value for each in Scheme],
        "signatures": [each.value for each in SignatureKind],
    }
    status = 200 if refusal is None else refusal.status
    return await render(request, visitor, "webhooks.html", values, status=status)


def _read_options(form: Mapping[str, str]) -> Json:
    """Return the options of an endpoint from its form. Raises ApiRefusalError."""
    options: Json = {name: form.get(name, "") for name in ("url", "description")}
    options |= {name: form[name] for name in ("payload", "scheme", "signature") if form.get(name)}
    options["events"] = read_list(form, "events") or []
    options["rate_limit"] = read_number(form, "rate_limit")
    return options
