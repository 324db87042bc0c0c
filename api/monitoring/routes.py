"""/health: liveness and readiness of this process. /metrics: metrics for Prometheus."""

import asyncio
import hmac
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection, text
from starlette.responses import PlainTextResponse, Response

from api.core.bodies import KEY_OPTIONAL, Route
from api.core.dependencies import ServicesDep
from api.core.errors import json_response
from api.core.services import Services
from api.monitoring.response_schemas import Health, Liveness, Readiness
from broker import webhooks
from broker.clock import now_ms, seconds
from broker.errors import AuthenticationError
from broker.events import signals
from broker.jobs import reports
from broker.providers.endpoint_stats import WHOLE_PROVIDER, Circuit, Snapshot
from broker.providers.health import counts
from broker.providers.health.recorder import TOTALS

if TYPE_CHECKING:
    from api.monitoring.metrics import Measurement

router = APIRouter(route_class=Route, tags=["health"])
CHECK_TIMEOUT_SECONDS = 3.0


@router.get("/health", response_model=Health)
async def get_health(services: ServicesDep) -> Response:
    """Show which parts answer, and which circuits are not closed. The status is always 200."""
    checks = await _run_checks(services)
    circuits = _list_open_circuits(services.observer.snapshot)
    is_ok = not circuits and all(check["ok"] for check in checks.values())
    return json_response(
        {"status": "ok" if is_ok else "degraded", "checks": checks, "providers": circuits}
    )


@router.get("/health/live", response_model=Liveness)
async def check_liveness() -> Response:
    """Answer 200 while this process runs."""
    return json_response({"status": "live"})


@router.get(
    "/health/ready",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "A check fails."}},
)
async def check_readiness(services: ServicesDep) -> Response:
    """Check the database, the queue and Redis, and that at least one worker runs."""
    checks = await _run_checks(services)
    is_ready = all(check["ok"] for check in checks.values())
    body = {"status": "ready" if is_ready else "not ready", "checks": checks}
    return json_response(body, 200 if is_ready else 503)


async def _run_checks(services: Services) -> dict[str, dict[str, object]]:
    return {
        "database": await _check(services.database.read(_select_one)),
        "queue": await _check(services.publisher.check()),
        "events": await _check(services.redis.ping()),
        "workers": await _check_workers(services),
    }


def _list_open_circuits(snapshot: Snapshot) -> list[dict[str, object]]:
    """Return the circuits that are not closed.

    `model` is None for a provider whose credential was refused; its endpoints are left out.
    """
    opened = {key: e for key, e in snapshot.endpoints.items() if e.circuit is not Circuit.CLOSED}
    return [
        {
            "provider": provider,
            "model": None if model == WHOLE_PROVIDER else model,
            "circuit": stats.circuit.value,
            "until": seconds(stats.paused_until or None),
        }
        for (provider, model), stats in sorted(opened.items(), key=lambda each: each[0])
        if model == WHOLE_PROVIDER or (provider, WHOLE_PROVIDER) not in opened
    ]


async def _check(answer: Awaitable[object]) -> dict[str, object]:
    """Return whether a part answers in time, and the error if it does not."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            await answer
    except Exception as error:  # noqa: BLE001  # the error is the result of the check
        return {"ok": False, "error": str(error) or type(error).__name__}
    return {"ok": True}


async def _check_workers(services: Services) -> dict[str, object]:
    counted: list[int] = []

    async def count() -> None:
        counted.append(await signals.count_alive(services.redis, time.time()))

    found = await _check(count())
    return found if not found["ok"] else {"ok": counted[0] > 0, "count": counted[0]}


def _select_one(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))


MAX_METRICS_AGE_SECONDS = 5.0
"""The metrics are measured again after this time, so that frequent requests cost no queries."""

_lock = asyncio.Lock()


@router.get("/metrics", response_class=PlainTextResponse, openapi_extra=KEY_OPTIONAL)
async def get_metrics(request: Request, services: ServicesDep) -> Response:
    """Show metrics of jobs, queues, attempts, deliveries and endpoints in Prometheus's format."""
    from api.monitoring.metrics import CONTENT_TYPE, render_metrics

    _check_token(request, services.settings.metrics_token)
    state = request.app.state
    async with _lock:
        measured_at, body = getattr(state, "metrics", (0.0, b""))
        if time.monotonic() - measured_at >= MAX_METRICS_AGE_SECONDS or not body:
            body = render_metrics(await _measure(services))
            state.metrics = (time.monotonic(), body)
    return Response(body, media_type=CONTENT_TYPE)


def _check_token(request: Request, token: str) -> None:
    """Raise AuthenticationError without the configured token; an empty one allows everyone."""
    given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if token and not hmac.compare_digest(given.encode(), token.encode()):
        raise AuthenticationError(
            "GET /metrics needs `Authorization: Bearer <WAYBILL_METRICS_TOKEN>`.",
            param="Authorization",
        )


async def _measure(services: Services) -> "Measurement":
    from api.monitoring.metrics import (
        Measurement,
        find_known_endpoints,
        fold_labels,
        narrow_labels,
    )

    known = find_known_endpoints(services.catalog)
    client: Any = services.redis  # its annotations mix the sync and async clients
    return Measurement(
        now=now_ms(),
        jobs=await services.database.read(reports.count_open),
        deliveries=await services.database.read(webhooks.count_waiting),
        workers=await signals.count_alive(services.redis, time.time()),
        ended=await signals.read_ended(services.redis),
        totals=fold_labels(counts.decode_counts(await client.hgetall(TOTALS)), known),
        snapshot=narrow_labels(services.observer.snapshot, known),
    )
