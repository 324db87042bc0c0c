"""Read OpenAI's forms, of sound and of images, as JSON bodies."""

import base64
from collections.abc import AsyncGenerator

from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from api.core import headers
from broker.completion import Json
from broker.errors import InvalidRequestError, PayloadTooLargeError
from broker.requests.bodies.images import MOST_REFERENCES

SOUND_FORMATS = {
    "": "wav", "octet-stream": "wav", "wave": "wav", "x-wav": "wav", "vnd.wave": "wav",
    "mpeg": "mp3", "mp4": "m4a", "x-m4a": "m4a", "x-flac": "flac",
}  # fmt: skip
"""The usual file suffix of a media subtype, where the two differ."""


INTEGERS = ("n", "output_compression", "partial_images", "seed")
"""Fields of an image form with integers."""

IMAGE_FIELDS = ("image", "image[]")
MASK = "mask"


def is_form(request: Request) -> bool:
    """Return whether the body of a request is a multipart form."""
    return request.headers.get("content-type", "").startswith("multipart/form-data")


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
        body = _read_fields(form)
    finally:
        await form.close()
    if "temperature" in body:
        body["temperature"] = _read_number(body["temperature"])
    data = base64.b64encode(content).decode()
    return body | {"input_audio": {"data": data, "format": _sound_format(sound)}}


async def read_image_form(request: Request, most: int) -> Json:
    """Return the fields of a form, its images as `images`, and its `mask`.

    Raises PayloadTooLargeError for more than `most` bytes.
    """
    form = await _read_form(request, most, files=MOST_REFERENCES + 1)
    try:
        body = _read_fields(form)
        images = [each for name in IMAGE_FIELDS for each in form.getlist(name)]
        if not images:
            raise InvalidRequestError("The form needs an `image`.", param="image")
        body["images"] = [await _read_image(each, "image") for each in images]
        if MASK in form:
            body[MASK] = await _read_image(form[MASK], MASK)
    finally:
        await form.close()
    for name in INTEGERS:
        if name in body:
            body[name] = _read_integer(name, body[name])
    if "stream" in body:
        body["stream"] = _read_flag("stream", body["stream"])
    return body


def _read_fields(form: FormData) -> Json:
    """Return the texts of a form. A field whose name ends in `[]` is a list."""
    fields: Json = {}
    for name, value in form.multi_items():
        if not isinstance(value, str) or name in IMAGE_FIELDS:
            continue
        if name.endswith("[]"):
            fields.setdefault(name.removesuffix("[]"), []).append(value)
        else:
            fields[name] = value
    return fields


async def _read_image(value: UploadFile | str, name: str) -> Json:
    """Return a file of a form as OpenAI's JSON form of an image, with a data URI."""
    if isinstance(value, str):
        raise InvalidRequestError(f"{name}: send a file, with a file name.", param=name)
    content = await value.read()
    if not content:
        raise InvalidRequestError(f"{name}: the file is empty.", param=name)
    media_type = value.content_type or ""
    stated = media_type if media_type.startswith("image/") else "image/png"
    return {"image_url": f"data:{stated};base64,{base64.b64encode(content).decode()}"}


async def _read_form(request: Request, most: int, *, files: int = 1) -> FormData:
    headers.refuse_encoded(request)
    parser = MultiPartParser(
        request.headers, _limit(request, most), max_files=files, max_part_size=most
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


def _read_integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidRequestError(f"{name}: not an integer", param=name) from None


def _read_flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise InvalidRequestError(f"{name}: true or false", param=name)
    return text.lower() == "true"
