"""Routes of calls: POST /chat/completions, the other operations, and POST /route.

Each call is a job; its caller waits, streams, or fetches the answer later. POST /route returns the
plan that a request would get now; nothing is written, sent, or charged.
"""

from collections.abc import Awaitable, Callable

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.completions.call import answer_call
from api.completions.forms import is_form, read_image_form, read_sound_form
from api.completions.response_schemas import (
    ChatCompletion,
    DocumentRanking,
    EmbeddingList,
    GeneratedImages,
    ModerationResults,
    PlannedRoute,
    TextCompletion,
    Transcript,
)
from api.completions.schemas import (
    IMAGE_EDIT_FORM,
    IMAGE_VARIATION_FORM,
    LATER,
    TRANSCRIPTION_FORM,
    describe_body,
    describe_call,
)
from api.core import request as reading
from api.core.bodies import DirectRoute, Route
from api.core.dependencies import SESSION_ID, Caller, ServicesDep
from api.core.errors import json_response
from api.core.services import Services, get_services
from api.jobs import submit
from broker import routing
from broker.completion import Json
from broker.jobs import views
from broker.money import usd
from broker.requests.operations import Operation
from broker.submission import JobOptions

FormReader = Callable[[Request, int], Awaitable[Json]]

chat_router = APIRouter(route_class=DirectRoute, tags=["chat"])


@chat_router.post(
    "/chat/completions",
    response_model=ChatCompletion,
    dependencies=describe_call(Operation.CHAT),
    responses=LATER,
)
async def create_chat_completion(request: Request) -> Response:
    """Create a chat completion: as an answer, a stream, or a job for later (`Prefer`)."""
    services = get_services(request)
    principal = await services.keyring.principal(request)
    body = await reading.read_json(request, services.settings.max_body_bytes)
    return await answer_call(request, services, principal, body, Operation.CHAT)


operations_router = APIRouter(route_class=DirectRoute, tags=["operations"])


@operations_router.post(
    "/embeddings",
    response_model=EmbeddingList,
    dependencies=describe_call(Operation.EMBEDDINGS),
    responses=LATER,
)
async def create_embeddings(request: Request) -> Response:
    """Turn texts into vectors."""
    return await _serve_json(request, Operation.EMBEDDINGS)


@operations_router.post(
    "/completions",
    response_model=TextCompletion,
    dependencies=describe_call(Operation.COMPLETIONS),
    responses=LATER,
)
async def create_completion(request: Request) -> Response:
    """Continue a text: as an answer or a stream (OpenAI's legacy API, where a vendor has it)."""
    return await _serve_json(request, Operation.COMPLETIONS)


@operations_router.post(
    "/images/generations",
    name="create_image_generation",
    response_model=GeneratedImages,
    dependencies=describe_call(Operation.IMAGES),
    responses=LATER,
)
@operations_router.post(
    "/images",
    response_model=GeneratedImages,
    dependencies=describe_call(Operation.IMAGES),
    responses=LATER,
)
async def create_image(request: Request) -> Response:
    """Create images from a prompt. They are stored and returned as signed links and base64."""
    return await _serve_json(request, Operation.IMAGES)


@operations_router.post(
    "/images/edits",
    response_model=GeneratedImages,
    dependencies=[*describe_call(Operation.IMAGE_EDITS), IMAGE_EDIT_FORM],
    responses=LATER,
)
async def edit_images(request: Request) -> Response:
    """Change images as a prompt says: a form with `image` (OpenAI), or JSON with `images`."""
    return await _serve_form(request, Operation.IMAGE_EDITS, read_image_form)


@operations_router.post(
    "/images/variations",
    response_model=GeneratedImages,
    dependencies=[*describe_call(Operation.IMAGE_VARIATIONS), IMAGE_VARIATION_FORM],
    responses=LATER,
)
async def vary_image(request: Request) -> Response:
    """Make variations of an image: a form with `image` (OpenAI), or JSON with `images`."""
    return await _serve_form(request, Operation.IMAGE_VARIATIONS, read_image_form)


@operations_router.post(
    "/rerank",
    response_model=DocumentRanking,
    dependencies=describe_call(Operation.RERANK),
    responses=LATER,
)
async def rerank_documents(request: Request) -> Response:
    """Order documents by their relevance to a query."""
    return await _serve_json(request, Operation.RERANK)


@operations_router.post(
    "/moderations",
    response_model=ModerationResults,
    dependencies=describe_call(Operation.MODERATIONS),
    responses=LATER,
)
async def moderate_content(request: Request) -> Response:
    """Check texts and images for harmful content."""
    return await _serve_json(request, Operation.MODERATIONS)


@operations_router.post(
    "/audio/speech", dependencies=describe_call(Operation.SPEECH), responses=LATER
)
async def create_speech(request: Request) -> Response:
    """Create speech from a text. The answer is sound in the requested format, as it comes."""
    return await _serve_json(request, Operation.SPEECH)


@operations_router.post(
    "/audio/transcriptions",
    response_model=Transcript,
    dependencies=[*describe_call(Operation.TRANSCRIPTIONS), TRANSCRIPTION_FORM],
    responses=LATER,
)
async def create_transcription(request: Request) -> Response:
    """Transcribe sound: a form with a `file` (OpenAI), or JSON with `input_audio`."""
    return await _serve_form(request, Operation.TRANSCRIPTIONS, read_sound_form)


async def _serve_form(request: Request, operation: Operation, read_form: FormReader) -> Response:
    """Serve a call whose body is a form, or JSON."""
    if not is_form(request):
        return await _serve_json(request, operation)
    services = get_services(request)
    await services.keyring.principal(request)  # before anything is read
    body = await read_form(request, services.settings.max_body_bytes)
    return await _serve_body(request, services, operation, body)


async def _serve_json(request: Request, operation: Operation) -> Response:
    services = get_services(request)
    await services.keyring.principal(request)
    body = await reading.read_json(request, services.settings.max_body_bytes)
    return await _serve_body(request, services, operation, body)


async def _serve_body(
    request: Request, services: Services, operation: Operation, body: Json
) -> Response:
    principal = await services.keyring.principal(request)
    return await answer_call(request, services, principal, body, operation)


plan_router = APIRouter(route_class=Route, tags=["jobs"])


@plan_router.post(
    "/route",
    response_model=PlannedRoute,
    dependencies=[describe_body(Operation.CHAT), SESSION_ID],
)
async def plan_route(request: Request, services: ServicesDep, principal: Caller) -> Response:
    """Return the endpoints that would serve a chat body, in order, with reasons and holds."""
    body = await reading.read_json(request, services.settings.max_body_bytes)
    job = await submit.prepare_job(request, services, principal, body, JobOptions())
    quotes = orjson.loads(job.payload["quotes"])
    shown = views.plan(routing.decode_plan(job.payload["plan"]))
    for step, nanos, least in zip(shown["plan"], quotes, job.held_for.least, strict=True):
        step["quote"], step["likely_cost"] = usd(nanos), usd(least)
    return json_response(
        {"object": "route", "model": job.row["model"], "provider": job.provider, **shown}
    )
