"""The wire `responses`: OpenAI's Responses API.

OpenAI, Azure and xAI serve some models by it only; see `registry.RESPONSES`.
Sources: platform.openai.com/docs/api-reference/responses and …/responses-streaming;
learn.microsoft.com/azure/ai-foundry/openai/how-to/responses.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson

from broker.completion import Completion, CompletionRequest, Failure, Usage
from workers.adapters.base import Adapter, BackgroundReader, HttpRequest, Upstream
from workers.adapters.errors import read_error
from workers.adapters.json_shapes import parse
from workers.adapters.openai.adapter import EVENTS, JSON, build_headers, with_azure_address
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.adapters.responses.models import takes_long
from workers.adapters.responses.request import build_body
from workers.adapters.responses.response import read_response as read_answer
from workers.adapters.responses.response import read_usage
from workers.adapters.responses.stream import ResponsesStreamReader

_FOUNDRY = "/models"


class ResponsesAdapter(Adapter):
    """See `Adapter`. `options["background"]`: true or false for all models; see `_runs_apart`."""

    wire = "responses"
    quirks = frozenset({OpenAiQuirk.API_KEY_HEADER, OpenAiQuirk.BACKGROUND})
    accepts = frozenset({"image", "file"})
    fetches = accepts
    reads_files = True

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        upstream = self._with_address(upstream)
        background = _runs_apart(request, upstream)
        accept = EVENTS if request.stream or background else JSON
        return HttpRequest(
            url=f"{upstream.base_url}/responses",
            headers=build_headers(upstream, accept=accept),
            body=orjson.dumps(build_body(request, background=background)),
        )

    def build_continuation(
        self, reader: BackgroundReader, upstream: Upstream, *, stream: bool = True
    ) -> HttpRequest:
        upstream = self._with_address(upstream)
        url = _stored_url(reader, upstream)
        if not stream:
            return HttpRequest(url, build_headers(upstream), b"", "GET")
        url += "?stream=true"
        if reader.last_event is not None:
            url += f"&starting_after={reader.last_event}"
        return HttpRequest(url, build_headers(upstream, accept=EVENTS), b"", "GET")

    def build_cancellation(self, reader: BackgroundReader, upstream: Upstream) -> HttpRequest:
        upstream = self._with_address(upstream)
        url = f"{_stored_url(reader, upstream)}/cancel"
        return HttpRequest(url, build_headers(upstream), b"")

    def read_response(self, body: bytes, request: CompletionRequest) -> Completion:
        return read_answer(parse(body), request)

    def create_stream_reader(self, request: CompletionRequest) -> ResponsesStreamReader:
        return ResponsesStreamReader(request)

    def read_usage(self, raw: Any) -> Usage | None:
        return read_usage(raw)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return read_error(status, headers, body)

    def _with_address(self, upstream: Upstream) -> Upstream:
        return upstream


class AzureResponsesAdapter(ResponsesAdapter):
    """See `Adapter`. Azure serves it at `/openai/v1` for every API version and kind of resource."""

    def _with_address(self, upstream: Upstream) -> Upstream:
        base = upstream.base_url.rstrip("/").removesuffix(_FOUNDRY)
        options = {name: value for name, value in upstream.options.items() if name != "api_version"}
        return with_azure_address(replace(upstream, base_url=base, options=options))


def _runs_apart(request: CompletionRequest, upstream: Upstream) -> bool:
    """Return whether the provider makes the answer in the background.

    It does so where it can, for models that take long, unless the body forbids to store the answer.
    """
    if OpenAiQuirk.BACKGROUND not in upstream.quirks or request.body.get("store") is False:
        return False
    wanted = upstream.options.get("background")
    return wanted if isinstance(wanted, bool) else takes_long(request.model)


def _stored_url(reader: BackgroundReader, upstream: Upstream) -> str:
    return f"{upstream.base_url}/responses/{quote(reader.background_id or '', safe='')}"
