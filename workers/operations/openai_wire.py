"""How OpenAI's wire addresses an operation; Azure and Mistral speak it at other addresses."""

from typing import Any

import orjson

from broker.completion import CompletionRequest, Failure, Json
from workers.adapters.base import HttpRequest, ProviderFailureError, Upstream
from workers.adapters.errors import reported
from workers.adapters.json_shapes import parse_object
from workers.adapters.openai.address import endpoint_url, request_headers
from workers.adapters.openai.azure import addressed
from workers.adapters.openai.openrouter_fields import fit_fields

AZURE = "azure"


def json_request(
    path: str, request: CompletionRequest, upstream: Upstream, body: Json
) -> HttpRequest:
    """Return a POST of `body` to an OpenAI path."""
    upstream = at_home(upstream)
    sent = {**body, "model": request.model}
    fit_fields(sent, upstream.quirks)
    return HttpRequest(
        url=endpoint_url(path, request.model, upstream),
        headers=request_headers(upstream),
        body=orjson.dumps(sent),
    )


def at_home(upstream: Upstream) -> Upstream:
    """Return the upstream with the address its vendor gives OpenAI's endpoints."""
    return addressed(upstream) if upstream.wire == AZURE else upstream


def answer_object(body: bytes) -> Json:
    """Return the answer. Raises ProviderFailureError for an error inside a 200 (OpenRouter)."""
    parsed = parse_object(body)
    error: Any = parsed.get("error")
    if error and "data" not in parsed and "choices" not in parsed:
        failure: Failure = reported(error)
        raise ProviderFailureError(failure)
    return parsed
