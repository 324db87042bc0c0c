"""Whether this process is alive, and whether it can serve."""

import asyncio
import time
from collections.abc import Awaitable

from fastapi import APIRouter, Request
from sqlalchemy import Connection, text
from starlette.responses import Response

from api.core.errors import json_response
from api.core.services import Services, services_of
from broker import signals
from broker.clock import seconds
from broker.evidence import WHOLE_PROVIDER, Circuit, Snapshot

router = APIRouter(tags=["health"])
PATIENCE_SECONDS = 3.0


@router.get("/health")
async def get_health(request: Request) -> Response:
    """Tell which parts answer, and which providers are out: always 200, for people and pages."""
    services = services_of(request)
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
async def check_readiness(request: Request) -> Response:
    """Check the database, the queue, and that at least one worker takes jobs."""
    checks = await _checks(services_of(request))
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
            "circuit": evidence.circuit.value,
            "until": seconds(evidence.paused_until or None),
        }
        for (provider, model), evidence in sorted(shut.items(), key=lambda each: each[0])
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
