"""Routes of webhook deliveries: list and show them, send one or a range again.

Ids of deliveries sort by time, so a range of times is a range of ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self, TypeAlias

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from api.core import request as reading
from api.core.bodies import Route
from api.core.dependencies import ServicesDep, WebhookCaller
from api.core.errors import json_response
from api.core.request import DeliveryCursor
from api.core.services import Services
from api.webhooks import views
from api.webhooks.response_schemas import (
    WebhookDelivery,
    WebhookDeliveryDetails,
    WebhookDeliveryPage,
    WebhookReplay,
)
from api.webhooks.schemas import ReplayBody
from broker import webhooks
from broker.accounts import Principal
from broker.clock import now_ms
from broker.errors import ConflictError
from broker.webhooks import DeliveryFilter, DeliveryReplay, DeliveryState
from broker.webhooks.deliveries import DeliveryRow

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # of ULIDs: github.com/ulid/spec
_TIME_BITS = range(45, -1, -5)


@dataclass(frozen=True, slots=True)
class CreationRange:
    """A range of ids: from `since` on, before `until`."""

    since: str | None = None
    until: str | None = None

    @classmethod
    def of_seconds(cls, since: float | None, until: float | None) -> Self:
        """Return the range of two times in Unix seconds."""
        return cls(_first_id(since), _first_id(until))

    def after(self, last_seen: str | None) -> str | None:
        """Return the id before which the page after `last_seen` begins, newest first."""
        bounds = [bound for bound in (last_seen, self.until) if bound is not None]
        return min(bounds) if bounds else None

    def within(self, rows: Sequence[DeliveryRow]) -> Sequence[DeliveryRow]:
        """Return the rows without those that are older than the range."""
        return rows if self.since is None else [row for row in rows if row.id >= self.since]


def _first_id(moment: float | None) -> str | None:
    """Return the text that sorts before every id of this time and after all earlier ids."""
    if moment is None:
        return None
    milliseconds = int(moment * 1000)
    return "dlv_" + "".join(_ALPHABET[milliseconds >> bits & 31] for bits in _TIME_BITS)


router = APIRouter(route_class=Route, prefix="/deliveries", tags=["webhooks"])
DeliveryId: TypeAlias = Annotated[str, Path(description="The id of the delivery (`dlv_…`).")]


def delivery_filter(
    endpoint_id: Annotated[str | None, Query(description="The id of the webhook endpoint.")] = None,
    status: Annotated[DeliveryState | None, Query(description="The state.")] = None,
    event_type: Annotated[
        str | None, Query(description="The type of the event, e.g. `job.failed`.")
    ] = None,
    subject_id: Annotated[
        str | None, Query(description="The id of the job or batch of the event.")
    ] = None,
) -> DeliveryFilter:
    """Read the filter of a list of deliveries. Raises InvalidRequestError."""
    if event_type is not None:
        webhooks.check_events([event_type], param="event_type")
    return DeliveryFilter(endpoint_id, status, event_type, subject_id)


def creation_range(
    since: Annotated[
        float | None,
        Query(ge=0, le=1e11, description="Only deliveries created at or after: Unix seconds."),
    ] = None,
    until: Annotated[
        float | None,
        Query(ge=0, le=1e11, description="Only deliveries created before: Unix seconds."),
    ] = None,
) -> CreationRange:
    """Read the range of a list of deliveries."""
    return CreationRange.of_seconds(since, until)


@router.get("", response_model=WebhookDeliveryPage)
async def list_webhook_deliveries(
    services: ServicesDep,
    principal: WebhookCaller,
    selection: Annotated[DeliveryFilter, Depends(delivery_filter)],
    created: Annotated[CreationRange, Depends(creation_range)],
    limit: Annotated[int, Query(ge=1, le=100, description="The most deliveries of a page.")] = 20,
    after: Annotated[
        DeliveryCursor | None, Query(description="The last id of the previous page.")
    ] = None,
) -> Response:
    """List deliveries, newest first."""
    rows = await services.database.read(
        webhooks.list_deliveries,
        principal.workspace_id,
        limit + 1,
        created.after(after),
        selection,
    )
    rows = created.within(rows)
    page = rows[:limit]
    return json_response(
        {
            "object": "list",
            "data": [views.render_delivery(row) for row in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": len(rows) > limit,
        }
    )


@router.post("/replay", status_code=202, response_model=WebhookReplay)
async def replay_webhook_deliveries(
    services: ServicesDep, principal: WebhookCaller, wanted: ReplayBody
) -> Response:
    """Send deliveries of a range again: those that were not received, or all of them.

    They have the same `webhook-id` as before.
    """
    if wanted.endpoint_id is not None:
        await _check_open(services, principal, wanted.endpoint_id)
    replay = DeliveryReplay(
        workspace_id=principal.workspace_id,
        now=now_ms(),
        endpoint_id=wanted.endpoint_id,
        since=reading.to_milliseconds(wanted.since, "since"),
        until=reading.to_milliseconds(wanted.until, "until"),
        only_missing=wanted.only_missing,
    )
    count = await services.database.write(webhooks.replay, replay)
    return json_response({"object": "webhook_replay", "deliveries": count}, 202)


@router.get("/{delivery_id}", response_model=WebhookDeliveryDetails)
async def get_webhook_delivery(
    services: ServicesDep, principal: WebhookCaller, delivery_id: DeliveryId
) -> Response:
    """Return a delivery with its payload and its attempts."""
    found = await services.database.read(
        webhooks.find_delivery, principal.workspace_id, delivery_id
    )
    return json_response(views.render_delivery_details(found))


@router.post("/{delivery_id}/redeliver", status_code=202, response_model=WebhookDelivery)
async def resend_webhook_delivery(
    services: ServicesDep, principal: WebhookCaller, delivery_id: DeliveryId
) -> Response:
    """Send a delivery again now, with the same `webhook-id`."""
    row = await services.database.write(
        webhooks.redeliver, principal.workspace_id, delivery_id, now_ms()
    )
    return json_response(views.render_delivery(row), 202)


async def _check_open(services: Services, principal: Principal, endpoint_id: str) -> None:
    """Raise NotFoundError for an unknown endpoint, and ConflictError for a disabled one."""
    row = await services.database.read(webhooks.find_endpoint, principal.workspace_id, endpoint_id)
    if row.disabled:
        raise ConflictError(f"Webhook endpoint {endpoint_id} is disabled: enable it first.")
