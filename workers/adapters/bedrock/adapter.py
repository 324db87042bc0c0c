"""The wire `bedrock`: `POST /model/{id}/converse`, or `converse-stream` for a binary stream."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from broker.completion import Completion, CompletionRequest, Failure, Usage
from workers.adapters.base import Adapter, HttpRequest, StreamReader, Upstream
from workers.adapters.bedrock.request import request_body
from workers.adapters.bedrock.response import read_document
from workers.adapters.bedrock.signing import authorized, region_of
from workers.adapters.bedrock.stream import ConverseStream
from workers.adapters.bedrock.usage import read_usage
from workers.adapters.errors import classify


class BedrockAdapter(Adapter):
    """See `Adapter`.

    `base_url` may be empty or hold `{region}`. Credentials: see `signing`; the region is
    `options["region"]` or that of the host.
    """

    wire = "bedrock"
    opens = ("s3://",)

    def request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        unsigned = HttpRequest(
            url=_url(request, upstream),
            headers=_headers(upstream, stream=request.stream),
            body=orjson.dumps(request_body(request)),
        )
        return authorized(unsigned, upstream)

    def answer(self, body: bytes, request: CompletionRequest) -> Completion:
        return read_document(body, request)

    def reader(self, request: CompletionRequest) -> StreamReader:
        return ConverseStream(request)

    def usage(self, raw: Any) -> Usage | None:
        return read_usage(raw)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return classify(status, headers, body)


def _url(request: CompletionRequest, upstream: Upstream) -> str:
    base = upstream.base_url or "https://bedrock-runtime.{region}.amazonaws.com"
    base = base.replace("{region}", region_of(upstream)).rstrip("/")
    # An ARN's slashes are quoted, else they would split the path. Colons may stay, and must: some
    # HTTP clients (yarl, under aiohttp) unquote `%3A`, and then the signature would be for
    # another path than the one that is sent.
    operation = "converse-stream" if request.stream else "converse"
    return f"{base}/model/{quote(request.model, safe=':')}/{operation}"


def _headers(upstream: Upstream, *, stream: bool) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "application/vnd.amazon.eventstream" if stream else "application/json",
    }
    return headers | {name.lower(): value for name, value in upstream.headers.items()}
