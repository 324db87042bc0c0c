"""`X-OpenRouter-Metadata: enabled`: answers tell how they were routed, in `openrouter_metadata`."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.core.errors import json_response
from api.core.services import Services
from api.jobs import actions
from broker.accounts import Principal
from broker.completion import Json
from broker.enums import JobState
from broker.events import job_events
from broker.events.job_events import Event
from broker.jobs import views

HEADER = "x-openrouter-metadata"
FIELD = "openrouter_metadata"


def is_wanted(request: Request) -> bool:
    return request.headers.get(HEADER, "").strip().lower() == "enabled"


async def add_metadata(services: Services, principal: Principal, response: Response) -> Response:
    """Return a plain answer, or an error, with its job's routing."""
    job_id = response.headers.get("x-job-id")
    if job_id is None or response.status_code == 202:  # noqa: PLR2004
        return response
    body = orjson.loads(bytes(response.body))
    body[FIELD] = await _metadata(services, principal, job_id)
    kept = {
        name: value
        for name, value in response.headers.items()
        if name not in ("content-length", "content-type")
    }
    told = json_response(body, response.status_code, kept)
    told.background = response.background
    return told


async def add_metadata_to_stream(
    services: Services, principal: Principal, job_id: str, source: AsyncGenerator[list[Event]]
) -> AsyncGenerator[list[Event]]:
    """Pass a stream's events on; the chunk with the usage waits for the end."""
    held: list[Event] = []
    async with contextlib.aclosing(source):
        async for told in source:
            given: list[Event] = []
            for event in told:
                if event.type == JobState.COMPLETED and held:
                    routed = await _metadata(services, principal, job_id)
                    given += [_with(held.pop(), routed), event]
                    continue
                given += held
                held = [event] if event.type == job_events.USAGE else []
                given += [] if held else [event]
            if given:
                yield given
    if held:
        yield held


def _with(event: Event, routed: Json) -> Event:
    return replace(event, data=orjson.dumps(orjson.loads(event.data) | {FIELD: routed}))


async def _metadata(services: Services, principal: Principal, job_id: str) -> Json:
    return views.router_metadata(await actions.find_job(services, principal, job_id))
