"""POST /chat/completions: a job whose caller waits, streams, or comes back later."""

import asyncio
from collections.abc import AsyncGenerator

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import answering, intake
from api.documents import CHAT
from api.services import Services, services
from api.streaming import ChatStream, chat_response
from broker.accounts import Principal
from broker.events import Event
from broker.submission import NewJob, Wish

router = APIRouter(tags=["chat"])


@router.post("/chat/completions", openapi_extra=CHAT)
async def create_chat_completion(request: Request) -> Response:
    """Create a chat completion: answered, streamed, or accepted for later (`Prefer`)."""
    hands = services(request)
    principal = await hands.keyring.principal(request)
    body = await intake.read_json(request, hands.settings.max_body_bytes)
    wish = Wish(idempotency_key=intake.idempotency_key(request))
    preference = intake.preference(request)
    job = intake.chat_job(hands, principal, body, wish)
    if preference.respond_async and not preference.wait:
        submitted = await intake.submit(hands, job)
        return await answering.accepted(hands, principal, submitted.job_id, preference)
    if body.get("stream"):
        return await _stream(request, hands, principal, job)
    return await _wait(request, hands, principal, job, preference)


async def _wait(
    request: Request,
    hands: Services,
    principal: Principal,
    job: NewJob,
    preference: intake.Preference,
) -> Response:
    """Answer with the completion; after `Prefer: wait=N` seconds with the job instead."""
    patience = hands.settings.sync_timeout_seconds
    seconds = patience if preference.wait is None else min(preference.wait, patience)
    with hands.news.listen(job.id) as listener:
        submitted = await intake.submit(hands, job)
        if submitted.replayed:
            with hands.news.listen(submitted.job_id) as earlier:
                end = await answering.wait(hands, principal, earlier, seconds=seconds, fresh=False)
        elif answering.wants_cancel_on_disconnect(request):
            end = await _wait_or_cancel(request, hands, principal, job, seconds)
        else:
            end = await answering.wait(hands, principal, listener, seconds=seconds, fresh=True)
    if end is not None:
        return await answering.answer(hands, principal, submitted.job_id, end)
    if preference.wait is not None:
        return await answering.accepted(hands, principal, submitted.job_id, preference)
    return answering.still_running(submitted.job_id, seconds)


async def _wait_or_cancel(
    request: Request, hands: Services, principal: Principal, job: NewJob, seconds: float
) -> Event | None:
    """Wait as `_wait` does, and call the job off should the caller hang up."""
    with hands.news.listen(job.id) as listener:
        waiting = asyncio.create_task(
            answering.wait(hands, principal, listener, seconds=seconds, fresh=False)
        )
        hung_up = asyncio.create_task(answering.gone(request))
        await asyncio.wait({waiting, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        hung_up.cancel()
        if not waiting.done():
            await answering.cancel_quietly(hands, principal, job.id)
        return await waiting


async def _stream(request: Request, hands: Services, principal: Principal, job: NewJob) -> Response:
    """Answer with the job's chunks as they come."""
    cancels = answering.wants_cancel_on_disconnect(request)
    with hands.news.listen(job.id):
        submitted = await intake.submit(hands, job)
        job_id = submitted.job_id

        async def on_gone() -> None:
            if cancels:
                await answering.cancel_quietly(hands, principal, job_id)

        return await chat_response(
            _events(hands, principal, job_id),
            ChatStream(job_id, model=str(job.row["model"])),
            keep_alive=hands.settings.keep_alive_seconds,
            on_gone=on_gone,
        )


async def _events(
    hands: Services, principal: Principal, job_id: str
) -> AsyncGenerator[list[Event]]:
    with hands.news.listen(job_id) as listener:
        async for told in hands.news.follow(listener, principal.workspace_id):
            yield told
