"""The route of queues: how many jobs wait and run for each provider and lane."""

import time
from collections.abc import Sequence

from fastapi import APIRouter
from redis.exceptions import RedisError
from starlette.responses import Response

from api.core.bodies import Route
from api.core.dependencies import Caller, ServicesDep
from api.core.errors import json_response
from api.core.services import Services
from api.jobs.response_schemas import QueueList
from broker.clock import now_ms
from broker.completion import Json
from broker.enums import JobState
from broker.events import signals
from broker.jobs import reports
from broker.jobs.rows import OpenJobCount

router = APIRouter(route_class=Route, prefix="/queues", tags=["jobs"])


@router.get("", response_model=QueueList)
async def list_queues(services: ServicesDep, principal: Caller) -> Response:
    """Show how many jobs wait and run, by provider and lane.

    A caller that administers the installation sees all jobs; others see those of their workspace.
    """
    workspace_id = None if principal.everywhere else principal.workspace_id
    rows = await services.database.read(reports.count_open, workspace_id)
    workers = await _count_workers(services)
    queues = render_queues(rows, now_ms())
    return json_response({"object": "list", "data": queues, "workers": workers})


async def _count_workers(services: Services) -> int | None:
    """Return the number of workers, or None while Redis does not answer."""
    try:
        return await signals.count_alive(services.redis, time.time())
    except RedisError:
        return None


def render_queues(rows: Sequence[OpenJobCount], now: int) -> list[Json]:
    """Return a row for each provider and lane, ordered by both. `now` is in Unix milliseconds."""
    fields = {
        JobState.QUEUED: "waiting",
        JobState.SCHEDULED: "scheduled",
        JobState.RUNNING: "running",
        JobState.NEEDS_REVIEW: "needs_review",
    }
    found: dict[tuple[str, str], Json] = {}
    for row in sorted(rows, key=lambda row: (row.provider, row.lane)):
        empty = dict.fromkeys(fields.values(), 0) | {"oldest_seconds": 0.0}
        shown = found.setdefault(
            (row.provider, row.lane), {"provider": row.provider, "lane": row.lane, **empty}
        )
        shown[fields[JobState(row.state)]] += row.jobs
        if row.state == JobState.QUEUED:
            shown["oldest_seconds"] = max(now - row.oldest_due, 0) / 1000
    return list(found.values())
