"""Everything that is asked for besides chat: each a job, answered like one."""

import base64

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from api import intake
from api.documents import body_of
from api.services import Services, services
from api.serving import serve
from broker.completion import Json
from broker.errors import InvalidRequestError, PayloadTooLargeError
from broker.operations import Operation
from broker.submission import Wish

SOUND_FORMATS = {
    "": "wav", "octet-stream": "wav", "wave": "wav", "x-wav": "wav", "vnd.wave": "wav",
    "mpeg": "mp3", "mp4": "m4a", "x-m4a": "m4a", "x-flac": "flac",
}  # fmt: skip
"""The usual file suffix for a media subtype, where it is another word."""

router = APIRouter(tags=["operations"])


@router.post("/embeddings", openapi_extra=body_of(Operation.EMBEDDINGS))
async def create_embeddings(request: Request) -> Response:
    """Turn texts into vectors."""
    return await _serve_json(request, Operation.EMBEDDINGS)


@router.post("/completions", openapi_extra=body_of(Operation.COMPLETIONS))
async def create_completion(request: Request) -> Response:
    """Continue a text (OpenAI's legacy API, on the vendors that still have it)."""
    return await _serve_json(request, Operation.COMPLETIONS)


@router.post("/images/generations", openapi_extra=body_of(Operation.IMAGES))
@router.post("/images", openapi_extra=body_of(Operation.IMAGES))
async def create_image(request: Request) -> Response:
    """Make pictures from a prompt; they are kept, and given as signed links and base64."""
    return await _serve_json(request, Operation.IMAGES)


@router.post("/rerank", openapi_extra=body_of(Operation.RERANK))
async def rerank(request: Request) -> Response:
    """Order documents by their relevance to a query."""
    return await _serve_json(request, Operation.RERANK)


@router.post("/audio/speech", openapi_extra=body_of(Operation.SPEECH))
async def create_speech(request: Request) -> Response:
    """Speak a text: raw sound back."""
    return await _serve_json(request, Operation.SPEECH)


@router.post("/audio/transcriptions", openapi_extra=body_of(Operation.TRANSCRIPTIONS))
async def create_transcription(request: Request) -> Response:
    """Write down what is said: a form with a `file` (OpenAI), or JSON with `input_audio`."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await _serve_json(request, Operation.TRANSCRIPTIONS)
    hands = services(request)
    await hands.keyring.principal(request)  # before anything is read
    body = await _sound_form(request, hands.settings.max_body_bytes)
    return await _serve_body(request, hands, Operation.TRANSCRIPTIONS, body)


async def _serve_json(request: Request, operation: Operation) -> Response:
    hands = services(request)
    await hands.keyring.principal(request)
    body = await intake.read_json(request, hands.settings.max_body_bytes)
    return await _serve_body(request, hands, operation, body)


async def _serve_body(
    request: Request, hands: Services, operation: Operation, body: Json
) -> Response:
    principal = await hands.keyring.principal(request)
    wish = Wish(operation=operation, idempotency_key=intake.idempotency_key(request))
    job = intake.prepared(hands, principal, body, wish)
    return await serve(request, hands, principal, job)


async def _sound_form(request: Request, most: int) -> Json:
    """Return a transcription form as the JSON body that it stands for."""
    async with request.form(max_files=1, max_part_size=most) as form:
        sound = form.get("file")
        if not isinstance(sound, UploadFile):
            raise InvalidRequestError("The form needs a `file` with the sound.", param="file")
        content = await sound.read(most + 1)
        if len(content) > most:
            raise PayloadTooLargeError(f"The file is larger than {most} bytes.", param="file")
        body: Json = {name: value for name, value in form.items() if isinstance(value, str)}
        kind = _sound_format(sound)
    granularities = [str(each) for each in form.getlist("timestamp_granularities[]")]
    body.pop("timestamp_granularities[]", None)
    if granularities:
        body["timestamp_granularities"] = granularities
    if "temperature" in body:
        body["temperature"] = _number(body["temperature"])
    return body | {
        "input_audio": {"data": base64.b64encode(content).decode(), "format": kind}
    }


def _sound_format(sound: UploadFile) -> str:
    """Tell a sound's format by its file's name, or else by the type that was stated for it."""
    _, dot, suffix = (sound.filename or "").rpartition(".")
    if dot and suffix:
        return suffix.lower()
    subtype = (sound.content_type or "").partition(";")[0].partition("/")[2].lower()
    return SOUND_FORMATS.get(subtype, subtype)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidRequestError("temperature: not a number", param="temperature") from None
