"""The wire `anthropic`: the Messages API of Anthropic, Vertex AI, Azure and other vendors.

Sources: platform.claude.com/docs/en/api/messages, …/api/versioning, …/api/beta-headers.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from broker.completion import Completion, CompletionRequest, Failure, Json, Usage
from broker.requests.native import read_native
from workers.adapters.anthropic.messages import WIRE
from workers.adapters.anthropic.models import AnthropicQuirk
from workers.adapters.anthropic.request import build_body
from workers.adapters.anthropic.response import read_response as read_answer
from workers.adapters.anthropic.response import read_usage
from workers.adapters.anthropic.stream import AnthropicStreamReader
from workers.adapters.base import Adapter, HttpRequest, StreamReader, Upstream
from workers.adapters.errors import read_error
from workers.adapters.json_shapes import as_object, parse
from workers.adapters.vertex import model_url

VERSION = "2023-06-01"
VERTEX_VERSION = "vertex-2023-10-16"
_FILES_BETA = "files-api-2025-04-14"


class AnthropicAdapter(Adapter):
    """See `Adapter`. `options["version"]` replaces the `anthropic-version`."""

    wire = WIRE
    quirks = frozenset(AnthropicQuirk)
    accepts = frozenset({"image", "file"})
    fetches = accepts
    reads_files = True

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        body = build_body(request, upstream.quirks)
        if AnthropicQuirk.VERTEX in upstream.quirks:
            body = {"anthropic_version": VERTEX_VERSION, **body}
            del body["model"]
        headers = build_headers(upstream, stream=request.stream)
        betas = [*_read_betas(request.body), *([_FILES_BETA] if _uses_files(body) else ())]
        if betas:
            given = headers.get("anthropic-beta", "").split(",")
            named = dict.fromkeys(each for beta in (*given, *betas) if (each := beta.strip()))
            headers["anthropic-beta"] = ",".join(named)
        return HttpRequest(_build_url(request, upstream), headers, orjson.dumps(body))

    def read_response(self, body: bytes, request: CompletionRequest) -> Completion:
        return read_answer(parse(body), request)

    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:
        return AnthropicStreamReader(request)

    def read_usage(self, raw: Any) -> Usage | None:
        return read_usage(raw)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return read_error(status, headers, body)


def _build_url(request: CompletionRequest, upstream: Upstream) -> str:
    if AnthropicQuirk.VERTEX not in upstream.quirks:
        return f"{upstream.base_url}/messages"
    method = "streamRawPredict" if request.stream else "rawPredict"
    return model_url(upstream, "anthropic", request.model, method)


def build_headers(upstream: Upstream, *, stream: bool = False) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
    }
    if AnthropicQuirk.VERTEX not in upstream.quirks:
        headers["anthropic-version"] = str(upstream.options.get("version") or VERSION)
    if upstream.api_key and upstream.quirks & {AnthropicQuirk.VERTEX, AnthropicQuirk.BEARER_TOKEN}:
        headers["authorization"] = f"Bearer {upstream.api_key}"
    elif upstream.api_key:
        headers["x-api-key"] = upstream.api_key
    return headers | {name.lower(): value for name, value in upstream.headers.items()}


def _read_betas(body: Json) -> list[str]:
    """Return the betas of the caller of a Messages request."""
    betas = read_native(body, WIRE).get("betas")
    return betas if isinstance(betas, list) else []


def _uses_files(body: Json) -> bool:
    """Return whether a turn names a file in Anthropic's file store, which is a beta."""
    blocks = (block for turn in body["messages"] for block in turn["content"])
    return any(as_object(block.get("source")).get("type") == "file" for block in blocks)
