"""Everything that is asked for besides chat: each a job, answered like one."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.completions.call import answer_call
from api.completions.transcription_form import read_sound_form
from api.core import request as reading
from api.core.openapi_bodies import LATER, body_of
from api.core.services import Services, services_of
from api.routes.direct import DirectRoute
from broker.completion import Json
from broker.operations import Operation

router = APIRouter(tags=["operations"], route_class=DirectRoute)


@router.post("/embeddings", openapi_extra=body_of(Operation.EMBEDDINGS), responses=LATER)
async def create_embeddings(request: Request) -> Response:
    """Turn texts into vectors."""
    return await _serve_json(request, Operation.EMBEDDINGS)


@router.post("/completions", openapi_extra=body_of(Operation.COMPLETIONS), responses=LATER)
async def create_completion(request: Request) -> Response:
    """Continue a text: answered or streamed (OpenAI's legacy API, on vendors that have it)."""
    return await _serve_json(request, Operation.COMPLETIONS)


@router.post(
    "/images/generations",
    name="create_image_generation",
    openapi_extra=body_of(Operation.IMAGES),
    responses=LATER,
)
@router.post("/images", openapi_extra=body_of(Operation.IMAGES), responses=LATER)
async def create_image(request: Request) -> Response:
    """Make pictures from a prompt; they are kept, and given as signed links and base64."""
    return await _serve_json(request, Operation.IMAGES)


@router.post("/rerank", openapi_extra=body_of(Operation.RERANK), responses=LATER)
async def rerank_documents(request: Request) -> Response:
    """Order documents by their relevance to a query."""
    return await _serve_json(request, Operation.RERANK)


@router.post("/audio/speech", openapi_extra=body_of(Operation.SPEECH), responses=LATER)
async def create_speech(request: Request) -> Response:
    """Speak a text: raw sound back."""
    return await _serve_json(request, Operation.SPEECH)


@router.post(
    "/audio/transcriptions", openapi_extra=body_of(Operation.TRANSCRIPTIONS), responses=LATER
)
async def create_transcription(request: Request) -> Response:
    """Write down what is said: a form with a `file` (OpenAI), or JSON with `input_audio`."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await _serve_json(request, Operation.TRANSCRIPTIONS)
    services = services_of(request)
    await services.keyring.principal(request)  # before anything is read
    body = await read_sound_form(request, services.settings.max_body_bytes)
    return await _serve_body(request, services, Operation.TRANSCRIPTIONS, body)


async def _serve_json(request: Request, operation: Operation) -> Response:
    services = services_of(request)
    await services.keyring.principal(request)
    body = await reading.read_json(request, services.settings.max_body_bytes)
    return await _serve_body(request, services, operation, body)


async def _serve_body(
    request: Request, services: Services, operation: Operation, body: Json
) -> Response:
    principal = await services.keyring.principal(request)
    return await answer_call(request, services, principal, body, operation)
