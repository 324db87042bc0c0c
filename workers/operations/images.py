"""The operations that make pictures, on OpenAI's wire: generations, edits and variations.

Rules: OpenAI API reference, "Create image", "Create image edit" and "Create image variation". Edits
and variations are forms.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from broker.completion import CompletionRequest, Document, Json, Media, Usage
from broker.ids import new_id
from broker.requests.data_uris import read_data_uri
from broker.requests.operations import Operation
from broker.requests.pictures import MASK, REFERENCES, list_references, read_mask
from workers.adapters.base import HttpRequest, MalformedAnswerError, StreamReader, Upstream
from workers.adapters.openai.adapter import build_headers, build_url
from workers.operations.base import (
    OperationAdapter,
    build_json_request,
    parse_answer,
    require_list,
    with_vendor_address,
)
from workers.operations.forms import FormFile, build_form
from workers.operations.image_stream import STATED, ImageStreamReader
from workers.operations.picture_sizes import with_openai_size

PNG = "image/png"
SIGNATURES = {
    b"\x89PNG": PNG,
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
    b"GIF8": "image/gif",
}
ASKS_FOR_BYTES = ("dall-e",)
"""Models that answer with an expiring URL by default. Newer models refuse the field."""

WITHOUT_VARIATIONS = ("gpt-image", "chatgpt-image")
"""Models without variations. They change the picture by `VARIATION_PROMPT` instead."""

VARIATION_PROMPT = (
    "Make a variation of this picture: the same subject and style, with a different composition "
    "and different details."
)

_OWN_FIELDS = frozenset({*REFERENCES, MASK, "response_format"})


class OpenAiImages(OperationAdapter):
    """Pictures from a prompt, or from a prompt and other pictures."""

    operation = Operation.IMAGES
    streams = True
    wires = ("openai", "azure")

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        fields = _select_fields(request)
        if list_references(request.body):
            return _build_form_request("/images/edits", request, upstream, fields)
        return build_json_request("/images/generations", request, upstream, fields)

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:
        parsed = parse_answer(body)
        media: list[Media] = []
        data = [_store_image(entry, media) for entry in require_list(parsed, "data")]
        facts: Json = {name: parsed[name] for name in STATED if name in parsed}
        return Document(
            body={"data": data, **facts, **keep_form(request)},
            usage=read_image_usage(parsed.get("usage")),
            media=media,
        )

    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:
        number = request.body.get("n") or 1
        return ImageStreamReader(
            self.operation, number, keep_form(request), read_image, read_image_usage
        )


class OpenAiImageEdits(OpenAiImages):
    """Pictures changed as a prompt says."""

    operation = Operation.IMAGE_EDITS


class OpenAiImageVariations(OpenAiImages):
    """Variations of a picture."""

    operation = Operation.IMAGE_VARIATIONS
    streams = False

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        fields = _select_fields(request)
        if request.model.startswith(WITHOUT_VARIATIONS):
            prompted = {**fields, "prompt": VARIATION_PROMPT}
            return _build_form_request("/images/edits", request, upstream, prompted)
        return _build_form_request("/images/variations", request, upstream, fields)


def _select_fields(request: CompletionRequest) -> Json:
    """Return the fields of the body for the vendor, without pictures."""
    body = with_openai_size(request.body, request.known_name)
    fields = {name: value for name, value in body.items() if name not in _OWN_FIELDS}
    if request.stream:
        fields["stream"] = True
    else:
        fields.pop("partial_images", None)
    if request.model.startswith(ASKS_FOR_BYTES):
        fields["response_format"] = "b64_json"
    return fields


def _build_form_request(
    path: str, request: CompletionRequest, upstream: Upstream, fields: Mapping[str, Any]
) -> HttpRequest:
    """Return a POST of a form with the pictures and the mask of the body."""
    upstream = with_vendor_address(upstream)
    pictures = [url for _, url in list_references(request.body)]
    name = "image" if len(pictures) == 1 else "image[]"
    files = [_build_file(name, f"image-{index}", url) for index, url in enumerate(pictures)]
    if (mask := read_mask(request.body)) is not None:
        files.append(_build_file(MASK, MASK, mask))
    form = build_form({**fields, "model": request.model}, files)
    return HttpRequest(
        url=build_url(path, request.model, upstream),
        headers=build_headers(upstream, content=form.content_type),
        body=form.body,
    )


def _build_file(name: str, stem: str, url: str) -> FormFile:
    """Return a picture as a file. Raises ValueError for a URL that is no data URI."""
    content = base64.b64decode(read_data_uri(url).data)
    media_type = find_image_type(content)
    return FormFile(name, f"{stem}.{media_type.partition('/')[2]}", media_type, content)


def keep_form(request: CompletionRequest) -> Json:
    """Return the form of the images that the caller chose, for the stored answer."""
    chosen = request.body.get("response_format")
    return {} if chosen is None else {"response_format": chosen}


def _store_image(entry: Json, media: list[Media]) -> Json:
    """Return the entry with a file id for its bytes. Append the bytes to `media`."""
    kept = {name: value for name, value in entry.items() if name != "b64_json"}
    if entry.get("b64_json"):
        image = read_image(entry["b64_json"])
        media.append(image)
        kept["file_id"] = image.id
    return kept


def read_image(encoded: str) -> Media:
    """Return an image, with the type of its first bytes."""
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedAnswerError("an image that is not base64") from None
    return Media(new_id("file_"), find_image_type(content), content)


def find_image_type(content: bytes) -> str:
    """Return the media type of an image by its first bytes; PNG where they are unknown."""
    types = (kind for sign, kind in SIGNATURES.items() if content.startswith(sign))
    return next(types, PNG)


def read_image_usage(raw: Any) -> Usage | None:
    """Return the usage. Image models use the Responses API's names."""
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
