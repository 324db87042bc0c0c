"""/health: liveness and readiness of this process. /metrics: this installation for Prometheus."""

import asyncio
import hmac
import time
from collections.abc import Awaitable
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import Connection, text
from starlette.responses import Response

from api.core.bodies import KEY_OPTIONAL, Route
from api.core.dependencies import ServicesDep
from api.core.errors import json_response
from api.core.services import Services
from api.monitoring.metrics import (
    Measured,
    fold_labels,
    known_endpoints,
    narrow_labels,
    render_metrics,
)
from broker import webhooks
from broker.clock import now_ms, seconds
from broker.errors import AuthenticationError
from broker.events import signals
from broker.jobs import reports
from broker.providers.endpoint_stats import WHOLE_PROVIDER, Circuit, Snapshot
from broker.providers.health import counts
from broker.providers.health.recorder import TOTALS

router = APIRouter(route_class=Route, tags=["health"])
PATIENCE_SECONDS = 3.0


@router.get("/health")
async def get_health(services: ServicesDep) -> Response:
    """Tell which parts answer, and which providers are out: always 200, for people and pages."""
    checks = await _checks(services)
    out = _out(services.observer.snapshot)
    is_well = not out and all(check["ok"] for check in checks.values())
    return json_response(
        {"status": "ok" if is_well else "degraded", "checks": checks, "providers": out}
    )


@router.get("/health/live")
async def check_liveness() -> Response:
    """Answer as long as this process does."""
    return json_response({"status": "live"})


@router.get("/health/ready")
async def check_readiness(services: ServicesDep) -> Response:
    """Check the database, the queue, and that at least one worker takes jobs."""
    checks = await _checks(services)
    is_ready = all(check["ok"] for check in checks.values())
    body = {"status": "ready" if is_ready else "not ready", "checks": checks}
    return json_response(body, 200 if is_ready else 503)


async def _checks(services: Services) -> dict[str, dict[str, object]]:
    return {
        "database": await _check(services.database.read(_select_one)),
        "queue": await _check(asyncio.to_thread(services.publisher.check)),
        "events": await _check(services.redis.ping()),
        "workers": await _workers(services),
    }


def _out(snapshot: Snapshot) -> list[dict[str, object]]:
    """Return the circuits that are not closed; without a model it is the provider's credential."""
    shut = {key: e for key, e in snapshot.endpoints.items() if e.circuit is not Circuit.CLOSED}
    return [
        {
            "provider": provider,
            "model": None if model == WHOLE_PROVIDER else model,
            "circuit": stats.circuit.value,
            "until": seconds(stats.paused_until or None),
        }
        for (provider, model), stats in sorted(shut.items(), key=lambda each: each[0])
        if model == WHOLE_PROVIDER or (provider, WHOLE_PROVIDER) not in shut
    ]


async def _check(answer: Awaitable[object]) -> dict[str, object]:
    """Return whether a part answers in time, and what is wrong where it does not."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await answer
    except Exception as error:  # noqa: BLE001  # whatever is wrong is the answer
        return {"ok": False, "error": str(error) or type(error).__name__}
    return {"ok": True}


async def _workers(services: Services) -> dict[str, object]:
    counted: list[int] = []

    async def count() -> None:
        counted.append(await signals.alive_workers(services.redis, time.time()))

    found = await _check(count())
    return found if not found["ok"] else {"ok": counted[0] > 0, "count": counted[0]}


def _select_one(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))


FRESH_SECONDS = 5.0
"""However often it is asked, the database is looked at once in this time."""

_lock = asyncio.Lock()


@router.get("/metrics", openapi_extra=KEY_OPTIONAL)
async def get_metrics(request: Request, services: ServicesDep) -> Response:
    """Tell jobs by status and lane, queue age, attempts, deliveries, every endpoint's health."""
    _allow(request, services.settings.metrics_token)
    state = request.app.state
    async with _lock:
        taken, body = getattr(state, "metrics", (0.0, b""))
        if time.monotonic() - taken >= FRESH_SECONDS or not body:
            body = render_metrics(await _measured(services))
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
        deliveries=await services.database.read(webhooks.count_waiting),
        workers=await signals.alive_workers(services.redis, time.time()),
        ended=await signals.ended(services.redis),
        totals=fold_labels(counts.decode_counts(await client.hgetall(TOTALS)), known),
        snapshot=narrow_labels(services.observer.snapshot, known),
    )
