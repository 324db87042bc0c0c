"""The wire `responses`: OpenAI's Responses API.

OpenAI, Azure and xAI serve some models by it only; see `registry.RESPONSES`.
Sources: platform.openai.com/docs/api-reference/responses and …/responses-streaming;
learn.microsoft.com/azure/ai-foundry/openai/how-to/responses.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from broker.completion import Completion, CompletionRequest, Failure, Usage
from workers.adapters.base import Adapter, HttpRequest, StreamReader, Upstream
from workers.adapters.errors import read_error
from workers.adapters.json_shapes import parse
from workers.adapters.openai.adapter import EVENTS, JSON, build_headers, with_azure_address
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.adapters.responses.request import build_body
from workers.adapters.responses.response import read_response as read_answer
from workers.adapters.responses.response import read_usage
from workers.adapters.responses.stream import ResponsesStreamReader

_FOUNDRY = "/models"


class ResponsesAdapter(Adapter):
    """See `Adapter`."""

    wire = "responses"
    quirks = frozenset({OpenAiQuirk.API_KEY_HEADER})
    accepts = frozenset({"image", "file"})
    fetches = accepts
    reads_files = True

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        return HttpRequest(
            url=f"{upstream.base_url}/responses",
            headers=build_headers(upstream, accept=EVENTS if request.stream else JSON),
            body=orjson.dumps(build_body(request)),
        )

    def read_response(self, body: bytes, request: CompletionRequest) -> Completion:
        return read_answer(parse(body), request)

    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:
        return ResponsesStreamReader(request)

    def read_usage(self, raw: Any) -> Usage | None:
        return read_usage(raw)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return read_error(status, headers, body)


class AzureResponsesAdapter(ResponsesAdapter):
    """See `Adapter`. Azure serves it at `/openai/v1` for every API version and kind of resource."""

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        base = upstream.base_url.rstrip("/").removesuffix(_FOUNDRY)
        options = {name: value for name, value in upstream.options.items() if name != "api_version"}
        resource = replace(upstream, base_url=base, options=options)
        return super().build_request(request, with_azure_address(resource))
