"""The wire `gemini`: `generateContent` of Google AI Studio and Vertex AI.

Sources: ai.google.dev/api/generate-content, cloud.google.com/vertex-ai/generative-ai/docs/
model-reference/inference.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from broker.completion import Completion, CompletionRequest, Failure, Usage
from workers.adapters.base import Adapter, HttpRequest, StreamReader, Upstream
from workers.adapters.errors import read_error
from workers.adapters.gemini.models import GeminiQuirk
from workers.adapters.gemini.request import build_body
from workers.adapters.gemini.response import read_response as read_answer
from workers.adapters.gemini.response import read_usage
from workers.adapters.gemini.stream import GeminiStreamReader
from workers.adapters.json_shapes import parse
from workers.adapters.vertex import auth_headers, model_url


class GeminiAdapter(Adapter):
    """See `Adapter`. Vertex AI needs the options `project` and `region`."""

    wire = "gemini"
    usage_name = "usageMetadata"
    quirks = frozenset(GeminiQuirk)
    opens = (
        "gs://",
        "https://generativelanguage.googleapis.com/",  # its own file store
        "https://www.youtube.com/",
        "https://youtube.com/",
        "https://youtu.be/",
    )
    reads_files = True

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        body = build_body(request, upstream.quirks)
        url = _build_url(request, upstream)
        return HttpRequest(url, build_headers(upstream, stream=request.stream), orjson.dumps(body))

    def read_response(self, body: bytes, request: CompletionRequest) -> Completion:
        return read_answer(parse(body), request)

    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:
        return GeminiStreamReader(request)

    def read_usage(self, raw: Any) -> Usage | None:
        return read_usage(raw)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return read_error(status, headers, body)


def _build_url(request: CompletionRequest, upstream: Upstream) -> str:
    name = request.model.removeprefix("models/").removeprefix("google/")
    method = "streamGenerateContent" if request.stream else "generateContent"
    if GeminiQuirk.VERTEX in upstream.quirks:
        url = model_url(upstream, "google", name, method)
    else:
        path = (
            name if "/" in name else f"models/{name}"
        )  # the name of a tuned model includes its collection
        url = f"{upstream.base_url}/{quote(path)}:{method}"
    framed = request.stream and GeminiQuirk.JSON_ARRAY not in upstream.quirks
    return f"{url}?alt=sse" if framed else url


def build_headers(upstream: Upstream, *, stream: bool) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
    }
    if GeminiQuirk.JSON_ARRAY in upstream.quirks:
        headers["accept"] = "application/json"
    if GeminiQuirk.VERTEX in upstream.quirks:
        headers |= auth_headers(upstream)
    elif upstream.api_key:
        headers["x-goog-api-key"] = upstream.api_key
    return headers | {name.lower(): value for name, value in upstream.headers.items()}
