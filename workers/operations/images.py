"""POST /images/generations: pictures from a prompt; the bytes go to the file store.

Rules: OpenAI API reference, "Create image". Google's models: `gemini_images`.
"""

import base64
import binascii
from typing import Any

from broker.completion import CompletionRequest, Document, Json, Media, Usage
from broker.ids import new_id
from broker.operations import Operation
from workers.adapters.base import HttpRequest, MalformedAnswerError, Upstream
from workers.operations.base import OperationAdapter, entries
from workers.operations.openai_wire import answer_object, json_request

PNG = "image/png"
SIGNATURES = {
    b"\x89PNG": PNG,
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
    b"GIF8": "image/gif",
}
ASKS_FOR_BYTES = ("dall-e",)
"""Models that answer with a passing URL unless told otherwise; newer ones refuse the field."""


class OpenAiImages(OperationAdapter):
    operation = Operation.IMAGES
    wires = ("openai", "azure")

    def request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        body = {name: value for name, value in request.body.items() if name != "response_format"}
        if request.model.startswith(ASKS_FOR_BYTES):
            body["response_format"] = "b64_json"
        return json_request("/images/generations", request, upstream, body)

    def answer(self, body: bytes, request: CompletionRequest) -> Document:
        parsed = answer_object(body)
        media: list[Media] = []
        data = [_kept(entry, media) for entry in entries(parsed, "data")]
        facts: Json = {
            name: parsed[name]
            for name in ("background", "size", "quality", "output_format")
            if name in parsed
        }
        if "response_format" in request.body:
            facts["response_format"] = request.body["response_format"]
        return Document(
            body={"data": data, **facts}, usage=_usage(parsed.get("usage")), media=media
        )


def _kept(entry: Json, media: list[Media]) -> Json:
    """Replace the bytes of an image by the id they are stored under."""
    kept = {name: value for name, value in entry.items() if name != "b64_json"}
    if entry.get("b64_json"):
        image = picture(entry["b64_json"])
        media.append(image)
        kept["file_id"] = image.id
    return kept


def picture(encoded: str) -> Media:
    """Return an image with the type its first bytes say."""
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedAnswerError("an image that is not base64") from None
    types = (kind for sign, kind in SIGNATURES.items() if content.startswith(sign))
    return Media(new_id("file_"), next(types, PNG), content)


def _usage(raw: Any) -> Usage | None:
    """Image models count in the Responses API's words."""
    if not isinstance(raw, dict):
        return None
    given = raw.get("input_tokens_details") or {}
    details = raw.get("output_tokens_details") or {}
    return Usage(
        input=raw.get("input_tokens"),
        input_image=given.get("image_tokens"),
        output=raw.get("output_tokens"),
        output_image=details.get("image_tokens"),
    )
