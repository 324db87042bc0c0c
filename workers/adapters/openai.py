"""The OpenAI chat-completions wire, spoken by most of the field.

OpenAI, Azure, Groq, DeepSeek, xAI, Together, Mistral, OpenRouter, Perplexity, Cerebras, Hugging
Face, Z.ai, Ollama, Databricks, vLLM and many more. Requests differ by declared quirks
(`openai_quirks`); answers are read tolerantly, whoever sent them.
"""

from collections.abc import Mapping
from urllib.parse import quote

import orjson

from broker.completion import Completion, CompletionRequest, Failure
from workers.adapters.base import Adapter, HttpRequest, StreamReader, Upstream
from workers.adapters.errors import classify
from workers.adapters.openai_answer import parse, read_answer
from workers.adapters.openai_quirks import Quirk
from workers.adapters.openai_request import request_body
from workers.adapters.openai_stream import OpenAiStream

DEPLOYMENTS_API_VERSION = "2024-10-21"
"""Azure's last generally available dated version, used where the provider's row names none."""


class OpenAiAdapter(Adapter):
    """See `Adapter`. `options["api_version"]` becomes Azure's `api-version` query parameter."""

    wire = "openai"

    def request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        return HttpRequest(
            url=_url(request.model, upstream),
            headers=_headers(upstream, stream=request.stream),
            body=orjson.dumps(request_body(request, upstream.quirks)),
        )

    def answer(self, body: bytes, request: CompletionRequest) -> Completion:
        # OpenRouter keeps a slow connection alive with blank lines before the JSON: a parser
        # that skips white space needs no more.
        return read_answer(parse(body), request)

    def reader(self, request: CompletionRequest) -> StreamReader:
        return OpenAiStream(request)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return classify(status, headers, body)


def _url(model: str, upstream: Upstream) -> str:
    version = upstream.options.get("api_version")
    path = "/chat/completions"
    if Quirk.DEPLOYMENT_URL in upstream.quirks:
        path = f"/openai/deployments/{quote(model, safe='')}{path}"
        version = version or DEPLOYMENTS_API_VERSION
    query = f"?api-version={quote(str(version), safe='')}" if version else ""
    return f"{upstream.base_url}{path}{query}"


def _headers(upstream: Upstream, *, stream: bool) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
    }
    if upstream.api_key and Quirk.API_KEY_HEADER in upstream.quirks:
        headers["api-key"] = upstream.api_key
    elif upstream.api_key:
        headers["authorization"] = f"Bearer {upstream.api_key}"
    return headers | {name.lower(): value for name, value in upstream.headers.items()}
