"""POST /route: the plan that a request would get now. Nothing is written, sent, or charged."""

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.core import request as reading
from api.core.errors import json_response
from api.core.openapi_bodies import body_of
from api.core.services import services_of
from api.jobs import submit
from broker import job_view, routing
from broker.money import usd
from broker.operations import Operation
from broker.submission import Wish

router = APIRouter(tags=["jobs"])


@router.post("/route", openapi_extra=body_of(Operation.CHAT))
async def plan_route(request: Request) -> Response:
    """Show who would serve a chat body, in which order and why, and what would be held for it."""
    services = services_of(request)
    principal = await services.keyring.principal(request)
    body = await reading.read_json(request, services.settings.max_body_bytes)
    job = await submit.prepared(request, services, principal, body, Wish())
    quotes = orjson.loads(job.payload["quotes"])
    shown = job_view.plan(routing.decode(job.payload["plan"]))
    for place, nanos, least in zip(shown["plan"], quotes, job.held_for.least, strict=True):
        place["quote"], place["likely_cost"] = usd(nanos), usd(least)
    return json_response(
        {"object": "route", "model": job.row["model"], "provider": job.provider, **shown}
    )
