"""The operations that make pictures, on Google's wire: Gemini's image models, and Imagen.

Rules: Gemini API, "Image generation"; Vertex AI, "Imagen API".
"""

from collections.abc import Sequence
from urllib.parse import quote

import orjson

from broker.completion import (
    AttemptOutcome,
    Completion,
    CompletionRequest,
    Document,
    ErrorType,
    Failure,
    Json,
    Media,
    Usage,
)
from broker.requests.operations import Operation
from broker.requests.pictures import list_references, read_mask
from workers.adapters.base import HttpRequest, ProviderFailureError, Upstream
from workers.adapters.gemini import GeminiAdapter
from workers.adapters.gemini.adapter import build_headers
from workers.adapters.gemini.models import GeminiQuirk
from workers.adapters.gemini.response import require_success
from workers.adapters.json_shapes import as_objects, as_text, parse, text_field
from workers.adapters.vertex import model_url
from workers.operations.base import OperationAdapter
from workers.operations.images import VARIATION_PROMPT, keep_form, read_image
from workers.operations.picture_sizes import find_listed_ratio, find_tier

_PREDICTS = "imagen"
_MESSAGE_LIMIT = 300  # characters of the model's text in a failure


class GeminiImages(OperationAdapter):
    """A chat with only images as its output, or a prediction where the model is an Imagen."""

    operation = Operation.IMAGES
    wires = ("gemini",)
    _chat = GeminiAdapter()

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        _refuse_pictures(request)
        if _predicts(request):
            return _build_prediction(request, upstream)
        return self._chat.build_request(_as_chat(request), upstream)

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:
        if _predicts(request):
            return _read_prediction(require_success(parse(body)), request)
        completion = self._chat.read_response(body, _as_chat(request))
        media = [
            read_image(image["image_url"]["url"].partition(",")[2])
            for choice in completion.choices
            for image in choice["message"].get("images") or ()
        ]
        if not media:
            raise _no_image_failure(completion)
        return _build_document(media, request, completion)


class GeminiImageEdits(GeminiImages):
    """Pictures changed by a chat that shows them."""

    operation = Operation.IMAGE_EDITS


class GeminiImageVariations(GeminiImages):
    """Variations of a picture by a chat that asks for them."""

    operation = Operation.IMAGE_VARIATIONS


def _predicts(request: CompletionRequest) -> bool:
    return _bare(request.model).startswith(_PREDICTS)


def _bare(model: str) -> str:
    return model.removeprefix("models/").removeprefix("google/")


def _refuse_pictures(request: CompletionRequest) -> None:
    """Raise ProviderFailureError for a mask, and for a picture that is sent to an Imagen."""
    if read_mask(request.body) is not None:
        raise _refusal("mask", "takes no mask: describe in the prompt what to change")
    references = list_references(request.body)
    if references and _predicts(request):
        raise _refusal(references[0][0], "makes pictures from a prompt only: choose another model")


def _refusal(field: str, reason: str) -> ProviderFailureError:
    return ProviderFailureError(
        Failure(
            AttemptOutcome.NOT_SENT,
            ErrorType.INVALID_REQUEST,
            f"{field}: the model {reason}.",
        )
    )


def _as_chat(request: CompletionRequest) -> CompletionRequest:
    """Return the request as a chat. The pictures come first, as Google recommends."""
    body = request.body
    content = [{"type": "image_url", "image_url": {"url": url}} for _, url in list_references(body)]
    content.append({"type": "text", "text": body.get("prompt") or VARIATION_PROMPT})
    chat: Json = {
        "messages": [{"role": "user", "content": content}],
        "modalities": ["image"],
    }
    chat |= {name: body[name] for name in ("n", "seed") if body.get(name)}
    ratio, tier = find_listed_ratio(body, request.known_name), find_tier(body)
    if ratio or tier:
        chat["image_config"] = {"aspect_ratio": ratio, "image_size": tier}
    return CompletionRequest(chat, request.model)


def _build_document(
    media: Sequence[Media], request: CompletionRequest, completion: Completion
) -> Document:
    drawn: Json = {"data": [{"file_id": image.id} for image in media], **keep_form(request)}
    return Document(
        body=drawn,
        usage=completion.usage,
        upstream_id=completion.upstream_id,
        upstream_model=completion.upstream_model,
        media=media,
    )


def _no_image_failure(completion: Completion) -> ProviderFailureError:
    """Return the failure of an answer without an image. It is final and billed."""
    choice = completion.choices[0]
    message, reason = choice["message"], choice.get("native_finish_reason")
    stated = as_text(message.get("refusal")) or as_text(message.get("content")).strip()
    reason_text = f": {stated[:_MESSAGE_LIMIT]}" if stated else "."
    blocked = choice.get("finish_reason") == "content_filter"
    why = "The image was blocked" if blocked else "The model made no image"
    return _image_failure(
        f"{why} ({reason or 'no reason given'}){reason_text}", completion.usage, blocked=blocked
    )


def _image_failure(message: str, usage: Usage | None, *, blocked: bool) -> ProviderFailureError:
    kind = ErrorType.CONTENT_POLICY_VIOLATION if blocked else ErrorType.INVALID_PROMPT
    failure = Failure(AttemptOutcome.REJECTED, kind, message, answered=True, usage=usage)
    return ProviderFailureError(failure)


def _build_prediction(request: CompletionRequest, upstream: Upstream) -> HttpRequest:
    name = _bare(request.model)
    if GeminiQuirk.VERTEX in upstream.quirks:
        url = model_url(upstream, "google", name, "predict")
    else:
        url = f"{upstream.base_url}/models/{quote(name)}:predict"
    parameters: Json = {"sampleCount": request.body.get("n") or 1}
    if ratio := find_listed_ratio(request.body, request.known_name):
        parameters["aspectRatio"] = ratio
    if tier := find_tier(request.body):
        parameters["sampleImageSize"] = tier
    body = {"instances": [{"prompt": request.body.get("prompt")}], "parameters": parameters}
    return HttpRequest(url, build_headers(upstream, stream=False), orjson.dumps(body))


def _read_prediction(payload: Json, request: CompletionRequest) -> Document:
    predictions = as_objects(payload.get("predictions"))
    encoded = [data for each in predictions if (data := text_field(each, "bytesBase64Encoded"))]
    if not encoded:
        reasons = [
            reason for each in predictions if (reason := text_field(each, "raiFilteredReason"))
        ]
        reason_text = " ".join(reasons) or "the provider gives no reason"
        raise _image_failure(
            f"The image was blocked: {reason_text[:_MESSAGE_LIMIT]}", None, blocked=True
        )
    media = [read_image(data) for data in encoded]
    return _build_document(
        media,
        request,
        Completion(choices=(), usage=Usage(input=0, output=0, output_images=len(media))),
    )
