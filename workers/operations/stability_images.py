"""Pictures of Stability AI: a form, whose answer is the picture.

Rules: platform.stability.ai, "REST v2beta API": Stable Image Ultra, Core and Stable Diffusion 3.5.
"""

import base64
from typing import ClassVar

from broker.completion import CompletionRequest, Document, Usage
from broker.requests.data_uris import read_data_uri
from broker.requests.operations import Operation
from broker.requests.pictures import list_references, read_mask
from workers.adapters.base import HttpRequest, MalformedAnswerError, Upstream
from workers.adapters.json_shapes import parse_object
from workers.adapters.picture_wires import StabilityWire
from workers.operations.base import OperationAdapter
from workers.operations.forms import FormFile, build_form
from workers.operations.images import find_image_type, keep_form, read_image
from workers.operations.picture_jobs import build_refusal, refuse_field, require_one
from workers.operations.picture_sizes import find_listed_ratio

_PATHS = {"stable-image-ultra": "ultra", "stable-image-core": "core"}
_KEPT = ("prompt", "seed", "output_format", "negative_prompt", "strength", "style_preset")
_STRENGTH = "0.65"  # of the change of a picture, where the body has none: it is required


class StabilityImages(OperationAdapter):
    """Pictures from a prompt, or from a prompt and a picture."""

    operation = Operation.IMAGES
    wires = ("stability",)
    _wire: ClassVar[StabilityWire] = StabilityWire()

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        require_one(request)
        body = request.body
        fields = {name: body[name] for name in _KEPT if body.get(name) is not None}
        path = _PATHS.get(request.model, "sd3")
        if path == "sd3":
            fields["model"] = request.model
        files = _build_files(request)
        if read_mask(body) is not None:
            path = "inpaint"
        if files and path in ("sd3", "ultra"):
            fields |= {"strength": fields.get("strength", _STRENGTH)}
            fields |= {"mode": "image-to-image"} if path == "sd3" else {}
        elif ratio := find_listed_ratio(body, request.known_name):
            fields["aspect_ratio"] = ratio
        service = "edit" if path == "inpaint" else "generate"
        form = build_form(fields, files)
        headers = self._wire.build_headers(upstream, content=form.content_type)
        url = f"{upstream.base_url}/v2beta/stable-image/{service}/{path}"
        return HttpRequest(url, headers, form.body)

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:
        parsed = parse_object(body)
        reason, image = parsed.get("finish_reason"), parsed.get("image")
        if reason == "CONTENT_FILTERED":
            raise build_refusal("CONTENT_FILTERED")
        if not isinstance(image, str):
            raise MalformedAnswerError("an answer without an image")
        media = read_image(image)
        return Document(
            {"data": [{"file_id": media.id}], **keep_form(request)},
            usage=Usage(input=0, output=0, output_images=1),
            media=[media],
        )


class StabilityEdits(StabilityImages):
    """Pictures changed as a prompt says."""

    operation = Operation.IMAGE_EDITS


def _build_files(request: CompletionRequest) -> list[FormFile]:
    """Return the picture and the mask. Raises ProviderFailureError for several pictures."""
    pictures = [url for _, url in list_references(request.body)]
    if len(pictures) > 1:
        raise refuse_field("images", "takes one picture")
    named = [("image", url) for url in pictures]
    mask = read_mask(request.body)
    named += [] if mask is None else [("mask", mask)]
    contents = [(name, base64.b64decode(read_data_uri(url).data)) for name, url in named]
    return [
        FormFile(name, f"{name}.png", find_image_type(content), content)
        for name, content in contents
    ]
