"""GET /metrics: this installation for Prometheus. Any API process tells the same."""

import asyncio
import hmac
import time
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from api.core.openapi_bodies import KEY_OPTIONAL
from api.core.services import Services, services_of
from api.known_labels import folded, known_endpoints, narrowed
from api.monitoring.metrics import Measured, text
from broker import reports, signals, webhooks
from broker.clock import now_ms
from broker.errors import AuthenticationError
from broker.health import buckets
from broker.health.recorder import TOTALS

router = APIRouter(tags=["health"])
FRESH_SECONDS = 5.0
"""However often it is asked, the database is looked at once in this time."""

_lock = asyncio.Lock()


@router.get("/metrics", openapi_extra=KEY_OPTIONAL)
async def get_metrics(request: Request) -> Response:
    """Tell jobs by status and lane, queue age, attempts, deliveries, every endpoint's health."""
    services = services_of(request)
    _allow(request, services.settings.metrics_token)
    state = request.app.state
    async with _lock:
        taken, body = getattr(state, "metrics", (0.0, b""))
        if time.monotonic() - taken >= FRESH_SECONDS or not body:
            body = text(await _measured(services))
            state.metrics = (time.monotonic(), body)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


def _allow(request: Request, token: str) -> None:
    given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if token and not hmac.compare_digest(given.encode(), token.encode()):
        raise AuthenticationError(
            "GET /metrics wants `Authorization: Bearer <WAYBILL_METRICS_TOKEN>`.",
            param="Authorization",
        )


async def _measured(services: Services) -> Measured:
    known = known_endpoints(services.catalog)
    client: Any = services.redis  # its annotations mix the sync and async clients
    return Measured(
        now=now_ms(),
        jobs=await services.database.read(reports.counts),
        deliveries=await services.database.read(webhooks.waiting),
        workers=await signals.alive_workers(services.redis, time.time()),
        ended=await signals.ended(services.redis),
        totals=folded(buckets.read(await client.hgetall(TOTALS)), known),
        snapshot=narrowed(services.observer.snapshot, known),
    )
