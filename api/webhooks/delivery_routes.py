"""/webhooks/deliveries: list, look, send again one or a range.

Ids of deliveries sort by time: the ids of a range's ends are its bounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Query
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

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # of ULIDs: github.com/ulid/spec
_TIME_BITS = range(45, -1, -5)


@dataclass(frozen=True, slots=True)
class CreationRange:
    """From the first id of `since` on, before the first id of `until`."""

    since: str | None = None
    until: str | None = None

    @classmethod
    def of_seconds(cls, since: float | None, until: float | None) -> Self:
        return cls(_first_id(since), _first_id(until))

    def after(self, last_seen: str | None) -> str | None:
        """Return where a page begins, newest first, that comes after `last_seen`."""
        bounds = [bound for bound in (last_seen, self.until) if bound is not None]
        return min(bounds) if bounds else None

    def within(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Leave out what is older than the range."""
        return rows if self.since is None else [row for row in rows if row.id >= self.since]


def _first_id(moment: float | None) -> str | None:
    """Return what sorts before every delivery of this moment and after all earlier ones."""
    if moment is None:
        return None
    milliseconds = int(moment * 1000)
    return "dlv_" + "".join(_ALPHABET[milliseconds >> bits & 31] for bits in _TIME_BITS)


router = APIRouter(route_class=Route, prefix="/deliveries", tags=["webhooks"])


def _wanted(
    endpoint_id: str | None = None,
    status: DeliveryState | None = None,
    event_type: str | None = None,
    subject_id: Annotated[str | None, Query(description="The job it is about.")] = None,
) -> DeliveryFilter:
    if event_type is not None:
        webhooks.check_events([event_type], param="event_type")
    return DeliveryFilter(endpoint_id, status, event_type, subject_id)


def _created(
    since: Annotated[
        float | None, Query(ge=0, le=1e11, description="Created then or later.")
    ] = None,
    until: Annotated[float | None, Query(ge=0, le=1e11, description="Created before.")] = None,
) -> CreationRange:
    return CreationRange.of_seconds(since, until)


@router.get("", response_model=WebhookDeliveryPage)
async def list_webhook_deliveries(
    services: ServicesDep,
    principal: WebhookCaller,
    wanted: Annotated[DeliveryFilter, Depends(_wanted)],
    created: Annotated[CreationRange, Depends(_created)],
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: DeliveryCursor | None = None,
) -> Response:
    """List deliveries, newest first; `after` is the last id of the page before."""
    rows = await services.database.read(
        webhooks.list_deliveries,
        principal.workspace_id,
        limit + 1,
        created.after(after),
        wanted,
    )
    rows = created.within(rows)
    page = rows[:limit]
    return json_response(
        {
            "object": "list",
            "data": [views.delivery(row) for row in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": len(rows) > limit,
        }
    )


@router.post("/replay", status_code=202, response_model=WebhookReplay)
async def replay_webhook_deliveries(
    services: ServicesDep, principal: WebhookCaller, wanted: ReplayBody
) -> Response:
    """Send again, under the same webhook-ids, what never arrived, or everything of a range."""
    if wanted.endpoint_id is not None:
        await _check_open(services, principal, wanted.endpoint_id)
    replay = DeliveryReplay(
        workspace_id=principal.workspace_id,
        now=now_ms(),
        endpoint_id=wanted.endpoint_id,
        since=reading.milliseconds(wanted.since, "since"),
        until=reading.milliseconds(wanted.until, "until"),
        only_missing=wanted.only_missing,
    )
    count = await services.database.write(webhooks.replay, replay)
    return json_response({"object": "webhook_replay", "deliveries": count}, 202)


@router.get("/{delivery_id}", response_model=WebhookDeliveryDetails)
async def get_webhook_delivery(
    services: ServicesDep, principal: WebhookCaller, delivery_id: str
) -> Response:
    """Show a delivery: what is sent, every attempt, and what came back."""
    found = await services.database.read(
        webhooks.find_delivery, principal.workspace_id, delivery_id
    )
    return json_response(views.whole_delivery(found))


@router.post("/{delivery_id}/redeliver", status_code=202, response_model=WebhookDelivery)
async def resend_webhook_delivery(
    services: ServicesDep, principal: WebhookCaller, delivery_id: str
) -> Response:
    """Send a delivery again, now, under the same webhook-id."""
    row = await services.database.write(
        webhooks.redeliver, principal.workspace_id, delivery_id, now_ms()
    )
    return json_response(views.delivery(row), 202)


async def _check_open(services: Services, principal: Principal, endpoint_id: str) -> None:
    """Refuse to replay to an endpoint that is not there or takes nothing."""
    row = await services.database.read(webhooks.find_endpoint, principal.workspace_id, endpoint_id)
    if row.disabled:
        raise ConflictError(f"Webhook endpoint {endpoint_id} is disabled: enable it first.")
