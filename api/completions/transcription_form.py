"""Read OpenAI's transcription form as OpenRouter's JSON body."""

import base64
from collections.abc import AsyncGenerator

from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from api.core import headers
from broker.completion import Json
from broker.errors import InvalidRequestError, PayloadTooLargeError

SOUND_FORMATS = {
    "": "wav", "octet-stream": "wav", "wave": "wav", "x-wav": "wav", "vnd.wave": "wav",
    "mpeg": "mp3", "mp4": "m4a", "x-m4a": "m4a", "x-flac": "flac",
}  # fmt: skip
"""The usual file suffix of a media subtype, where the two differ."""


async def read_sound_form(request: Request, most: int) -> Json:
    """Return the fields of a form, and its `file` as `input_audio`.

    Raises PayloadTooLargeError for more than `most` bytes.
    """
    form = await _read_form(request, most)
    try:
        sound = form.get("file")
        if not isinstance(sound, UploadFile):
            raise InvalidRequestError("The form needs a `file` with the sound.", param="file")
        content = await sound.read()
        body: Json = {name: value for name, value in form.items() if isinstance(value, str)}
    finally:
        await form.close()
    granularities = [str(each) for each in form.getlist("timestamp_granularities[]")]
    body.pop("timestamp_granularities[]", None)
    if granularities:
        body["timestamp_granularities"] = granularities
    if "temperature" in body:
        body["temperature"] = _read_number(body["temperature"])
    data = base64.b64encode(content).decode()
    return body | {"input_audio": {"data": data, "format": _sound_format(sound)}}


async def _read_form(request: Request, most: int) -> FormData:
    headers.refuse_encoded(request)
    parser = MultiPartParser(
        request.headers, _limit(request, most), max_files=1, max_part_size=most
    )
    try:
        return await parser.parse()
    except (MultiPartException, FormParserError) as error:
        raise InvalidRequestError(f"The form cannot be read: {error}.", param="body") from None


async def _limit(request: Request, most: int) -> AsyncGenerator[bytes]:
    """Yield the body as it arrives. Raises PayloadTooLargeError, so that no file fills the disk."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise PayloadTooLargeError(
                f"The form is larger than {most} bytes (WAYBILL_MAX_BODY_BYTES).", param="file"
            )
        yield piece


def _sound_format(sound: UploadFile) -> str:
    """Return the format of a sound by its file's name, else by its stated type."""
    _, dot, suffix = (sound.filename or "").rpartition(".")
    if dot and suffix:
        return suffix.lower()
    subtype = (sound.content_type or "").partition(";")[0].partition("/")[2].lower()
    return SOUND_FORMATS.get(subtype, subtype)


def _read_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidRequestError("temperature: not a number", param="temperature") from None
