"""Images of vendors that differ from OpenAI's `/images` (quirks of the wire).

Rules: docs.x.ai, "Image generations" and "Image edits"; docs.together.ai, "Create image".
"""

import orjson

from broker.completion import CompletionRequest, Json
from broker.requests.operations import Operation
from broker.requests.pictures import MASK, list_references, read_mask
from workers.adapters.base import HttpRequest, Upstream, refuse
from workers.adapters.openai.adapter import build_headers, build_url
from workers.operations.images import OpenAiImages
from workers.operations.picture_sizes import find_listed_ratio, find_tier, read_size

_SHARED = ("prompt", "n", "seed", "user", "output_format")
NO_MASK = "the provider takes no mask. Describe in the prompt what to change."


class JsonImages(OpenAiImages):
    """Images at xAI: aspect ratios in place of sizes, and edits in JSON."""

    streams = False

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        body = _select(request)
        if ratio := find_listed_ratio(request.body, request.known_name):
            body["aspect_ratio"] = ratio
        if tier := find_tier(request.body):
            body["resolution"] = tier.lower()
        body["response_format"] = "b64_json"
        pictures = [{"url": url, "type": "image_url"} for _, url in list_references(request.body)]
        if len(pictures) > 1:
            body["images"] = pictures
        elif pictures:
            body["image"] = pictures[0]
        path = "/images/edits" if pictures else "/images/generations"
        return _post(path, request, upstream, body)


class JsonImageEdits(JsonImages):
    """Edits of images at xAI."""

    operation = Operation.IMAGE_EDITS


class SizedImages(OpenAiImages):
    """Images at Together: width and height, and pictures in the body of a generation."""

    streams = False

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        body = _select(request)
        size = read_size(request.body)
        if size.pixels:
            body["width"], body["height"] = size.pixels
        elif size.ratio:
            body["aspect_ratio"] = size.ratio
        body["response_format"] = "base64"
        pictures = [url for _, url in list_references(request.body)]
        if len(pictures) > 1:
            body["reference_images"] = pictures
        elif pictures:
            body["image_url"] = pictures[0]
        return _post("/images/generations", request, upstream, body)


class SizedImageEdits(SizedImages):
    """Edits of images at Together."""

    operation = Operation.IMAGE_EDITS


def _select(request: CompletionRequest) -> Json:
    """Return the fields that the vendors share. Raises ProviderFailureError for a mask."""
    if read_mask(request.body) is not None:
        refuse(MASK, NO_MASK)
    return {name: request.body[name] for name in _SHARED if request.body.get(name) is not None}


def _post(path: str, request: CompletionRequest, upstream: Upstream, body: Json) -> HttpRequest:
    sent = {**body, "model": request.model}
    url = build_url(path, request.model, upstream)
    return HttpRequest(url, build_headers(upstream), orjson.dumps(sent))
