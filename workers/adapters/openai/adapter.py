"""The OpenAI chat-completions wire, spoken by most of the field.

OpenAI, Azure, Groq, DeepSeek, xAI, Together, Mistral, OpenRouter, Perplexity, Cerebras, Hugging
Face, Z.ai, Ollama, Databricks, vLLM and many more. Requests differ by declared quirks
(`quirks`); answers are read tolerantly, whoever sent them.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from broker.completion import Completion, CompletionRequest, Failure, Usage
from workers.adapters.base import Adapter, HttpRequest, StreamReader, Upstream
from workers.adapters.errors import classify
from workers.adapters.json_shapes import parse
from workers.adapters.openai.address import endpoint_url, request_headers
from workers.adapters.openai.quirks import Quirk
from workers.adapters.openai.request import request_body
from workers.adapters.openai.response import read_answer
from workers.adapters.openai.stream import OpenAiStream
from workers.adapters.openai.usage import read_usage

JSON = "application/json"
EVENTS = "text/event-stream"


class OpenAiAdapter(Adapter):
    """See `Adapter`. `options["api_version"]` becomes Azure's `api-version` query parameter."""

    wire = "openai"
    quirks = frozenset(Quirk)
    fetches = frozenset({"image", "video"})

    def request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        return HttpRequest(
            url=endpoint_url("/chat/completions", request.model, upstream),
            headers=request_headers(upstream, accept=EVENTS if request.stream else JSON),
            body=orjson.dumps(request_body(request, upstream.quirks)),
        )

    def answer(self, body: bytes, request: CompletionRequest) -> Completion:
        # OpenRouter keeps a slow connection alive with blank lines before the JSON: a parser
        # that skips white space needs no more.
        return read_answer(parse(body), request)

    def reader(self, request: CompletionRequest) -> StreamReader:
        return OpenAiStream(request)

    def usage(self, raw: Any) -> Usage | None:
        return read_usage(raw)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return classify(status, headers, body)
