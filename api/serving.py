"""A job whose caller waits: answered when done, accepted when it takes too long (`Prefer`)."""

import asyncio

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from api.core import request as reading
from api.core.job_subscriptions import Listener
from api.core.services import Services
from api.jobs import actions, call_timeout, delete_after_delivery, responses, submit
from broker.accounts import Principal
from broker.events import Event
from broker.privacy import Store
from broker.submission import NewJob


async def serve(
    request: Request, services: Services, principal: Principal, job: NewJob
) -> Response:
    """Submit the job; answer with what it brings, or with 202 as the caller prefers."""
    preference = reading.preference(request)
    if preference.respond_async and not preference.wait:
        submitted = await submit.submit(services, job)
        response = await responses.accepted(services, principal, submitted.job_id, preference)
        return responses.telling_replay(response, submitted)
    patience = services.settings.sync_timeout_seconds
    seconds = patience if preference.wait is None else min(preference.wait, patience)
    with services.news.listen(job.id) as listener:
        submitted = await submit.submit(services, job)
        with services.news.following(job.id, submitted.follows):
            if submitted.replayed:
                with services.news.listen(submitted.job_id) as earlier:
                    end = await call_timeout.wait_for_end(
                        services, principal, earlier, seconds=seconds, fresh=False
                    )
            elif wants_cancel_on_disconnect(request):
                end = await _wait_or_cancel(request, services, principal, listener, seconds)
            else:
                end = await call_timeout.wait_for_end(
                    services, principal, listener, seconds=seconds, fresh=True
                )
    if end is not None:
        response = await responses.answer(services, principal, submitted.job_id, end)
        if job.row["store"] == Store.NONE and not submitted.replayed:
            response.background = BackgroundTask(delete_after_delivery.fetched, services, job.id)
    elif preference.wait is not None:
        response = await responses.accepted(services, principal, submitted.job_id, preference)
    else:
        response = await responses.still_running(services, principal, submitted.job_id, seconds)
    return responses.telling_replay(response, submitted)


async def _wait_or_cancel(
    request: Request, services: Services, principal: Principal, listener: Listener, seconds: float
) -> Event | None:
    """Wait as `serve` does, and call the job off should the caller hang up."""
    waiting = asyncio.create_task(
        call_timeout.wait_for_end(services, principal, listener, seconds=seconds, fresh=True)
    )
    hung_up = asyncio.create_task(wait_for_disconnect(request))
    await asyncio.wait({waiting, hung_up}, return_when=asyncio.FIRST_COMPLETED)
    hung_up.cancel()
    if not waiting.done():
        waits = waits_for_usage(request)
        await actions.cancel_quietly(services, principal, listener.job_id, waits=waits)
    return await waiting


async def wait_for_disconnect(request: Request) -> None:
    """Return when the caller has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def wants_cancel_on_disconnect(request: Request) -> bool:
    return _on_disconnect(request) in {"true", "now"}


def waits_for_usage(request: Request) -> bool:
    """Tell whether a call may be read on for its usage once its caller has hung up."""
    return _on_disconnect(request) != "now"


def _on_disconnect(request: Request) -> str:
    return request.headers.get("x-cancel-on-disconnect", "").lower()
