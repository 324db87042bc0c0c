"""The wire `openai`: OpenAI's chat completions, which most vendors serve.

Azure OpenAI and Azure AI Foundry serve it at other addresses, as the wire `azure`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson

from broker.completion import Completion, CompletionRequest, Failure, Usage
from workers.adapters.base import Adapter, HttpRequest, StreamReader, Upstream
from workers.adapters.errors import read_error
from workers.adapters.json_shapes import parse
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.adapters.openai.request import build_body
from workers.adapters.openai.response import read_response as read_answer
from workers.adapters.openai.stream import OpenAiStreamReader
from workers.adapters.openai.usage import read_usage

DEPLOYMENTS_API_VERSION = "2024-10-21"
"""Azure's last dated version that is generally available, used where the row names none."""


def build_url(path: str, model: str, upstream: Upstream) -> str:
    """Return the URL of `path`, e.g. `/embeddings`, for a model."""
    version = upstream.options.get("api_version")
    if OpenAiQuirk.DEPLOYMENT_URL in upstream.quirks:
        path = f"/openai/deployments/{quote(model, safe='')}{path}"
        version = version or DEPLOYMENTS_API_VERSION
    query = f"?api-version={quote(str(version), safe='')}" if version else ""
    return f"{upstream.base_url}{path}{query}"


def build_headers(
    upstream: Upstream, *, accept: str = "application/json", content: str = "application/json"
) -> dict[str, str]:
    """Return the headers of a request: types, credentials, and those of the provider's row."""
    headers = {"content-type": content, "accept": accept}
    if upstream.api_key and OpenAiQuirk.API_KEY_HEADER in upstream.quirks:
        headers["api-key"] = upstream.api_key
    elif upstream.api_key:
        headers["authorization"] = f"Bearer {upstream.api_key}"
    return headers | {name.lower(): value for name, value in upstream.headers.items()}


JSON = "application/json"
EVENTS = "text/event-stream"


class OpenAiAdapter(Adapter):
    """See `Adapter`. `options["api_version"]` becomes Azure's `api-version` query parameter."""

    wire = "openai"
    quirks = frozenset(OpenAiQuirk)
    fetches = frozenset({"image", "video"})

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        return HttpRequest(
            url=build_url("/chat/completions", request.model, upstream),
            headers=build_headers(upstream, accept=EVENTS if request.stream else JSON),
            body=orjson.dumps(build_body(request, upstream.quirks)),
        )

    def read_response(self, body: bytes, request: CompletionRequest) -> Completion:
        # OpenRouter keeps a slow connection alive with blank lines before the JSON. The parser
        # skips white space.
        return read_answer(parse(body), request)

    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:
        return OpenAiStreamReader(request)

    def read_usage(self, raw: Any) -> Usage | None:
        return read_usage(raw)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return read_error(status, headers, body)


_V1 = "/openai/v1"
_FOUNDRY = "/models"


class AzureAdapter(OpenAiAdapter):
    """See `Adapter`. `options["auth"] = "entra"`: the key is an Entra ID token."""

    wire = "azure"
    accepts = frozenset({"image", "audio"})
    fetches = frozenset({"image"})

    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        return super().build_request(request, with_azure_address(upstream))


def with_azure_address(upstream: Upstream) -> Upstream:
    """Return `upstream` with the address and quirks that its API version needs."""
    base = upstream.base_url.rstrip("/")
    quirks = set(upstream.quirks)
    if upstream.options.get("auth") != "entra":
        quirks.add(OpenAiQuirk.API_KEY_HEADER)
    if not base.endswith(_FOUNDRY):
        host = base.removesuffix(_V1).removesuffix("/openai")
        dated = _is_dated(upstream.options)
        if dated:
            quirks.add(OpenAiQuirk.DEPLOYMENT_URL)
        base = host if dated else host + _V1
    return replace(upstream, base_url=base, quirks=frozenset(quirks))


def _is_dated(options: Mapping[str, Any]) -> bool:
    return str(options.get("api_version") or "v1")[:1].isdigit()
