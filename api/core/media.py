"""Answers with media: stored bytes as links or base64, raw audio, plain text."""

import base64
import contextlib

from starlette.responses import PlainTextResponse, Response

from api.core.errors import json_response
from api.core.services import Services
from broker.completion import Json
from broker.errors import NotFoundError

CONTENT_PATH = "/api/v1/files/{file_id}/content"
PLAIN = frozenset({"text", "srt", "vtt"})


def media_response(services: Services, body: Json, headers: dict[str, str]) -> Response:
    """Return a job's answer in the form of its operation. It reads files: run it in a thread."""
    if body.get("object") == "audio.speech":
        content = read_stored(services, body["file_id"])
        return Response(content, headers=headers, media_type=body["media_type"])
    if body.get("response_format") in PLAIN:
        return PlainTextResponse(body["text"], headers=headers)
    return json_response(add_media(services, body), 200, headers)


def read_stored(services: Services, file_id: str) -> bytes:
    """Return a stored file. Raises NotFoundError if its bytes are not on this machine."""
    try:
        return services.files.read(file_id)
    except FileNotFoundError:
        raise NotFoundError(
            f"The content of {file_id} is not in this server's data directory."
        ) from None


def has_media(body: Json) -> bool:
    """Return whether `add_media` changes an answer."""
    return "response_format" in body or "file_id" in body or _has_images(body)


def add_media(services: Services, body: Json) -> Json:
    """Return an answer with links to its stored bytes, or with the bytes themselves.

    An image has a link and base64, unless the request chose one of them. Audio has a link.
    """
    shown = dict(body)
    response_format = shown.pop("response_format", None)
    if "file_id" in shown:
        shown["url"] = build_signed_link(services, shown["file_id"])
    if _has_images(shown):
        shown["data"] = [_render_image(services, entry, response_format) for entry in shown["data"]]
    return shown


def build_signed_link(services: Services, file_id: str) -> str:
    """Return an absolute URL that serves the file without a key, for an hour."""
    path = services.signer.build_link(CONTENT_PATH.format(file_id=file_id), file_id)
    return services.settings.public_url.rstrip("/") + path


def _has_images(body: Json) -> bool:
    data = body.get("data")
    return isinstance(data, list) and any("file_id" in entry for entry in data)


def _render_image(services: Services, entry: Json, response_format: str | None) -> Json:
    file_id = entry.get("file_id")
    if file_id is None:
        return entry
    shown = dict(entry)
    if response_format != "b64_json":
        shown["url"] = build_signed_link(services, file_id)
    if response_format != "url":
        with contextlib.suppress(NotFoundError):  # the answer is useful without the bytes
            shown["b64_json"] = base64.b64encode(read_stored(services, file_id)).decode()
    return shown
