"""Pictures that a vendor makes as a job: Black Forest Labs, and Fal's queue.

Rules: docs.bfl.ai, "Image generation" and "Polling"; docs.fal.ai, "Queue API". Both answer with the
address of the picture, which expires. The worker fetches and stores it.
"""

from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from broker.completion import (
    AttemptOutcome,
    BackgroundAnswer,
    CompletionRequest,
    Document,
    ErrorType,
    Failure,
    Json,
    Usage,
)
from broker.requests.operations import Operation
from broker.requests.pictures import MASK, REFERENCES, list_references, read_mask
from workers.adapters.base import HttpRequest, MalformedAnswerError, ProviderFailureError, Upstream
from workers.adapters.json_shapes import as_objects, as_text, parse_object
from workers.adapters.picture_wires import BlackForestLabsWire, FalWire
from workers.operations.base import JobAdapter, require_same_site
from workers.operations.images import keep_form
from workers.operations.picture_sizes import read_size

_OWN = frozenset(
    {*REFERENCES, MASK, "response_format", "n", "size", "aspect_ratio", "resolution", "quality"}
    | {"style", "background", "moderation", "partial_images", "user", "output_compression"}
)
"""Fields of OpenAI's and OpenRouter's APIs that are translated or left out."""

NANOS_PER_CREDIT = 10_000_000
"""Black Forest Labs: a credit is one US cent."""


def refuse_field(field: str, reason: str) -> ProviderFailureError:
    """Return the failure of a request with a field that the vendor does not take."""
    message = f"{field}: the provider {reason}."
    return ProviderFailureError(
        Failure(AttemptOutcome.NOT_SENT, ErrorType.INVALID_REQUEST, message)
    )


def build_refusal(reason: str) -> ProviderFailureError:
    """Return the failure of a picture that the vendor refuses. It is final and costs nothing."""
    message = f"The image was blocked: {reason}."
    failure = Failure(AttemptOutcome.REJECTED, ErrorType.CONTENT_POLICY_VIOLATION, message)
    return ProviderFailureError(failure)


def require_one(request: CompletionRequest) -> None:
    """Raise ProviderFailureError for several pictures of one call."""
    if (request.body.get("n") or 1) > 1:
        raise refuse_field("n", "makes one picture in a call")


def _build_links(urls: list[str], request: CompletionRequest, facts: Json) -> Document:
    """Return an answer with addresses of pictures. Raises MalformedAnswerError without any."""
    if not urls:
        raise MalformedAnswerError("a job that has ended without a picture")
    return Document({"data": [{"url": url} for url in urls], **keep_form(request)}, **facts)


class BlackForestLabsImages(JobAdapter):
    """FLUX at Black Forest Labs."""

    operation = Operation.IMAGES
    wires = ("bfl",)
    _wire: ClassVar[BlackForestLabsWire] = BlackForestLabsWire()
    _BLOCKED = frozenset({"Request Moderated", "Content Moderated"})
    _RUNNING = frozenset({"Pending", "Queued", "Processing"})

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        require_one(request)
        body = {name: value for name, value in request.body.items() if name not in _OWN}
        size = read_size(request.body)
        if size.pixels:
            body["width"], body["height"] = size.pixels
        elif size.ratio:
            body["aspect_ratio"] = size.ratio
        for index, (_, url) in enumerate(list_references(request.body), start=1):
            body["input_image" if index == 1 else f"input_image_{index}"] = _strip(url)
        if mask := read_mask(request.body):
            body["image"], body["mask"] = body.pop("input_image"), _strip(mask)
        return HttpRequest(
            f"{upstream.base_url}/{quote(request.model)}",
            self._wire.build_headers(upstream),
            orjson.dumps(body),
        )

    def read_submission(self, body: bytes, upstream: Upstream) -> BackgroundAnswer:
        parsed = parse_object(body)
        url = require_same_site(parsed.get("polling_url"), upstream)
        return BackgroundAnswer(_require_id(parsed.get("id")), url)

    def build_poll(self, answer: BackgroundAnswer, upstream: Upstream) -> HttpRequest:
        url = answer.url or f"{upstream.base_url}/get_result?id={quote(answer.id)}"
        return HttpRequest(url, self._wire.build_headers(upstream), b"", method="GET")

    def read_poll(
        self, body: bytes, answer: BackgroundAnswer, request: CompletionRequest, upstream: Upstream
    ) -> Document | None:
        del upstream
        parsed = parse_object(body)
        status = parsed.get("status")
        if status in self._RUNNING:
            return None
        if status in self._BLOCKED:
            reasons = (parsed.get("details") or {}).get("Moderation Reasons")
            named = f" ({', '.join(map(str, reasons))})" if isinstance(reasons, list) else ""
            raise build_refusal(f"{status}{named}")
        if status != "Ready":
            raise ProviderFailureError(_job_failure(f"the job ended as {status!r}"))
        result = parsed.get("result") or {}
        urls = [url for url in [result.get("sample")] if isinstance(url, str)]
        cost = parsed.get("cost", result.get("cost"))
        facts: Json = {"upstream_id": answer.id, "usage": _bfl_usage(cost)}
        return _build_links(urls, request, facts)

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:
        del body, request
        raise MalformedAnswerError("a picture without a job")


class BlackForestLabsEdits(BlackForestLabsImages):
    """Pictures changed by FLUX."""

    operation = Operation.IMAGE_EDITS


class FalImages(JobAdapter):
    """Pictures of Fal's queue."""

    operation = Operation.IMAGES
    wires = ("fal",)
    _wire: ClassVar[FalWire] = FalWire()

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        body = {name: value for name, value in request.body.items() if name not in _OWN}
        if number := request.body.get("n"):
            body["num_images"] = number
        size = read_size(request.body)
        if size.pixels:
            body["image_size"] = {"width": size.pixels[0], "height": size.pixels[1]}
        elif size.ratio:
            body["aspect_ratio"] = size.ratio
        pictures = [url for _, url in list_references(request.body)]
        if len(pictures) > 1:
            body["image_urls"] = pictures
        elif pictures:
            body["image_url"] = pictures[0]
        if mask := read_mask(request.body):
            body["mask_url"] = mask
        return HttpRequest(
            f"{upstream.base_url}/{quote(request.model)}",
            self._wire.build_headers(upstream),
            orjson.dumps(body),
        )

    def read_submission(self, body: bytes, upstream: Upstream) -> BackgroundAnswer:
        parsed = parse_object(body)
        url = require_same_site(parsed.get("response_url"), upstream)
        return BackgroundAnswer(_require_id(parsed.get("request_id")), url)

    def build_poll(self, answer: BackgroundAnswer, upstream: Upstream) -> HttpRequest:
        return self._get(f"{answer.url}/status", upstream)

    def read_poll(
        self, body: bytes, answer: BackgroundAnswer, request: CompletionRequest, upstream: Upstream
    ) -> HttpRequest | None:
        del request
        parsed = parse_object(body)
        if parsed.get("status") in ("IN_QUEUE", "IN_PROGRESS"):
            return None
        if parsed.get("status") != "COMPLETED":
            raise ProviderFailureError(_job_failure(f"the job ended as {parsed.get('status')!r}"))
        return self._get(str(answer.url), upstream)

    def read_response(self, body: bytes, request: CompletionRequest) -> Document:
        parsed = parse_object(body)
        images = as_objects(parsed.get("images")) or as_objects([parsed.get("image")])
        flags = parsed.get("has_nsfw_concepts")
        if isinstance(flags, list) and flags and all(flags):
            raise build_refusal("Fal's safety checker found unsafe content")
        urls = [url for each in images if (url := as_text(each.get("url")))]
        return _build_links(urls, request, {"usage": Usage(input=0, output=0)})

    def build_cancellation(self, answer: BackgroundAnswer, upstream: Upstream) -> HttpRequest:
        return HttpRequest(
            f"{answer.url}/cancel", self._wire.build_headers(upstream), b"", method="PUT"
        )

    def _get(self, url: str, upstream: Upstream) -> HttpRequest:
        return HttpRequest(url, self._wire.build_headers(upstream), b"", method="GET")


class FalEdits(FalImages):
    """Pictures changed by a model of Fal's queue."""

    operation = Operation.IMAGE_EDITS


def _require_id(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise MalformedAnswerError("a submission without the id of its job")
    return value


def _strip(uri: str) -> str:
    """Return the base64 of a data URI."""
    return uri.partition(",")[2]


def _job_failure(what: str) -> Failure:
    return Failure(
        AttemptOutcome.REJECTED, ErrorType.PROVIDER_UNAVAILABLE, f"The image was not made: {what}."
    )


def _bfl_usage(cost: Any) -> Usage:
    """Return the usage with the stated cost (credits)."""
    if isinstance(cost, bool) or not isinstance(cost, int | float) or cost < 0:
        return Usage(input=0, output=0)
    return Usage(input=0, output=0, cost_nanos=round(cost * NANOS_PER_CREDIT))
