"""Whether this process is alive, and whether it can serve."""

import asyncio
import time

from fastapi import APIRouter, Request
from sqlalchemy import Connection, text
from starlette.responses import Response

from api.errors import json_response
from api.services import Services, services
from broker import signals

router = APIRouter(tags=["health"])
PATIENCE_SECONDS = 3.0


@router.get("/health/live")
async def live() -> Response:
    """Answer as long as this process does."""
    return json_response({"status": "live"})


@router.get("/health/ready")
async def ready(request: Request) -> Response:
    """Check the database, the queue, and that at least one worker takes jobs."""
    hands = services(request)
    checks = await asyncio.gather(_database(hands), _redis(hands), _workers(hands))
    report = dict(zip(("database", "queue", "workers"), checks, strict=True))
    is_ready = all(check["ok"] for check in checks)
    body = {"status": "ready" if is_ready else "not ready", "checks": report}
    return json_response(body, 200 if is_ready else 503)


async def _database(hands: Services) -> dict[str, object]:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await hands.database.read(_select_one)
    except Exception as error:  # noqa: BLE001  # whatever is wrong is the answer
        return _failed(error)
    return {"ok": True}


def _select_one(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))


async def _redis(hands: Services) -> dict[str, object]:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await hands.redis.ping()
    except Exception as error:  # noqa: BLE001
        return _failed(error)
    return {"ok": True}


async def _workers(hands: Services) -> dict[str, object]:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            count = await signals.alive_workers(hands.redis, time.time())
    except Exception as error:  # noqa: BLE001
        return _failed(error)
    return {"ok": count > 0, "count": count}


def _failed(error: Exception) -> dict[str, object]:
    return {"ok": False, "error": str(error) or type(error).__name__}
