"""POST /chat/completions: a job whose caller waits, streams, or comes back later."""

from collections.abc import AsyncGenerator

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import answering, explaining, forgetting, intake
from api.attribution import attribution
from api.documents import body_of
from api.services import Services, services
from api.serving import serve
from api.streaming import ChatStream, chat_response
from broker.accounts import Principal
from broker.events import Event
from broker.operations import Operation
from broker.submission import NewJob, Wish

router = APIRouter(tags=["chat"])


@router.post("/chat/completions", openapi_extra=body_of(Operation.CHAT))
async def create_chat_completion(request: Request) -> Response:
    """Create a chat completion: answered, streamed, or accepted for later (`Prefer`)."""
    hands = services(request)
    principal = await hands.keyring.principal(request)
    body = await intake.read_json(request, hands.settings.max_body_bytes)
    wish = Wish(
        idempotency_key=intake.idempotency_key(request),
        coalesce=intake.wants_coalescing(request),
        store=intake.store(request),
        **attribution(request),
    )
    warm = await intake.remembered(request, hands, principal, body)
    job = intake.prepared(hands, principal, body, wish, warm=warm)
    if body.get("stream") and not intake.preference(request).respond_async:
        return await _stream(request, hands, principal, job)
    response = await serve(request, hands, principal, job)
    if explaining.is_wanted(request):
        return await explaining.explained(hands, principal, response)
    return response


async def _stream(request: Request, hands: Services, principal: Principal, job: NewJob) -> Response:
    """Answer with the job's chunks as they come."""
    cancels = answering.wants_cancel_on_disconnect(request)
    with hands.news.listen(job.id):
        submitted = await intake.submit(hands, job)
        job_id = submitted.job_id

        async def on_gone() -> None:
            if cancels and not submitted.replayed:  # it is somebody else's call too
                await answering.cancel_quietly(hands, principal, job_id)

        source = _events(hands, principal, job_id)
        source = forgetting.once_told(hands, job_id, job.row["store"], source)
        if explaining.is_wanted(request):
            source = explaining.explained_stream(hands, principal, job_id, source)
        return await chat_response(
            source,
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
