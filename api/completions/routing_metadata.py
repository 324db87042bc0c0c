"""`X-OpenRouter-Metadata: enabled`: answers have their routing in `openrouter_metadata`."""

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


def is_requested(request: Request) -> bool:
    """Return whether the header requests the metadata."""
    return request.headers.get(HEADER, "").strip().lower() == "enabled"


async def add_metadata(services: Services, principal: Principal, response: Response) -> Response:
    """Return an answer or an error with the routing of its job."""
    job_id = response.headers.get("x-job-id")
    if job_id is None or response.status_code == 202:  # noqa: PLR2004
        return response
    body = orjson.loads(bytes(response.body))
    body[FIELD] = await _find_metadata(services, principal, job_id)
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in ("content-length", "content-type")
    }
    shown = json_response(body, response.status_code, headers)
    shown.background = response.background
    return shown


async def add_metadata_to_stream(
    services: Services, principal: Principal, job_id: str, source: AsyncGenerator[list[Event]]
) -> AsyncGenerator[list[Event]]:
    """Yield a stream's events. The chunk with the usage is delayed until the last event."""
    delayed: list[Event] = []
    async with contextlib.aclosing(source):
        async for events in source:
            passed: list[Event] = []
            for event in events:
                if event.type == JobState.COMPLETED and delayed:
                    metadata = await _find_metadata(services, principal, job_id)
                    passed += [_add_to_event(delayed.pop(), metadata), event]
                    continue
                passed += delayed
                delayed = [event] if event.type == job_events.USAGE else []
                passed += [] if delayed else [event]
            if passed:
                yield passed
    if delayed:
        yield delayed


def _add_to_event(event: Event, metadata: Json) -> Event:
    return replace(event, data=orjson.dumps(orjson.loads(event.data) | {FIELD: metadata}))


async def _find_metadata(services: Services, principal: Principal, job_id: str) -> Json:
    return views.router_metadata(await actions.find_job(services, principal, job_id))
