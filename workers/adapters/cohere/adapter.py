"""The wire `cohere`: `POST /v2/chat`, answered as JSON or as server-sent events."""

from collections.abc import Mapping
from typing import Any

import orjson

from broker.completion import Completion, CompletionRequest, Failure, Usage
from workers.adapters.base import Adapter, HttpRequest, StreamReader, Upstream
from workers.adapters.cohere.request import build_body
from workers.adapters.cohere.response import read_response, read_usage
from workers.adapters.cohere.stream import CohereStreamReader
from workers.adapters.errors import read_error
from workers.adapters.json_shapes import parse


def build_url(upstream: Upstream, path: str) -> str:
    """Return the URL of `path`, which begins with its version. The base may end with one too."""
    return f"{upstream.base_url.rstrip('/').removesuffix('/v2')}{path}"


def build_headers(upstream: Upstream, *, accept: str = "application/json") -> dict[str, str]:
    headers = {"content-type": "application/json", "accept": accept}
    if upstream.api_key:
        headers["authorization"] = f"Bearer {upstream.api_key}"
    return headers | {name.lower(): value for name, value in upstream.headers.items()}


class CohereAdapter(Adapter):
    """See `Adapter`. `base_url` is the host, with or without the version."""

    wire = "cohere"
    accepts = frozenset({"image"})
    fetches = accepts

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        return HttpRequest(
            url=build_url(upstream, "/v2/chat"),
            headers=build_headers(
                upstream, accept="text/event-stream" if request.stream else "application/json"
            ),
            body=orjson.dumps(build_body(request)),
        )

    def read_response(self, body: bytes, request: CompletionRequest) -> Completion:
        return read_response(parse(body), request)

    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:
        return CohereStreamReader(request)

    def read_usage(self, raw: Any) -> Usage | None:
        return read_usage(raw)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return read_error(status, headers, body)
