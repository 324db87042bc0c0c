"""Check with a free request whether a provider answers and accepts the key.

The wire's own adapter adds the credentials, as for a job.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from broker.completion import CompletionRequest, ErrorType
from broker.providers.configuration import Provider, fill_placeholders
from workers.adapters.base import Adapter, HttpRequest
from workers.adapters.bedrock.adapter import with_credentials
from workers.adapters.registry import ADAPTERS, WITHOUT_CHATS
from workers.provider_routes import build_routes, build_upstream

TIMEOUT_SECONDS = 10
SHOWN = 160  # characters of a provider's own message

# replacements that turn a wire's chat URL into that of its model list
LIST_PATHS: Mapping[str, tuple[str, str]] = {
    "openai": ("/chat/completions", "/models"),
    "mistral": ("/chat/completions", "/models"),
    "azure": ("/chat/completions", "/models"),
    "responses": ("/responses", "/models"),
    "anthropic": ("/messages", "/models"),
    "gemini": ("/{model}:generateContent", "?pageSize=1"),
    "cohere": ("/v2/chat", "/v1/models"),
}
BASE_URL_HINTS: Mapping[str, str] = {  # the usual form of each wire's base URL
    "openai": "it usually ends in /v1",
    "mistral": "it usually ends in /v1",
    "azure": "it is the resource's address, as https://NAME.openai.azure.com",
    "responses": "it usually ends in /v1",
    "anthropic": "it usually ends in /v1",
    "gemini": "it usually ends in /v1beta (Google AI Studio) or /v1 (Vertex AI)",
    "cohere": "it is the host alone, as https://api.cohere.com",
    "bfl": "it ends in /v1",
    "fal": "it is the host of the queue, as https://queue.fal.run",
    "stability": "it is the host alone, as https://api.stability.ai",
    "bedrock": "it is the region's host, as https://bedrock-runtime.us-east-1.amazonaws.com",
}
NO_LIST_STATUSES = frozenset({httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED})
REFUSED = frozenset({ErrorType.AUTHENTICATION, ErrorType.PERMISSION_DENIED})
MODEL = "waybill-check"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check; the text is the problem and the remedy."""

    is_well: bool
    text: str


def check(provider: Provider, http: httpx.Client) -> Finding:
    """Request a provider's models, or the URL that its vendor names; failures are findings."""
    try:
        build_routes({provider.slug: provider})
    except SystemExit as refusal:
        return Finding(is_well=False, text=str(refusal).removeprefix("waybill: "))
    adapter = {**ADAPTERS, **WITHOUT_CHATS}[provider.wire]
    request = probe(provider, adapter)
    try:
        response = http.request(request.method, request.url, headers=dict(request.headers))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding(is_well=False, text=_describe_unreachable(provider, error))
    if response.is_success:
        return Finding(is_well=True, text=_read_list(response))
    return _read_refusal(provider, adapter, response)


def probe(provider: Provider, adapter: Adapter) -> HttpRequest:
    """Build the GET that a check sends."""
    upstream = build_upstream(provider)
    chat = adapter.build_request(CompletionRequest(body={"messages": []}, model=MODEL), upstream)
    url = _address(provider, chat.url)
    if provider.wire == "bedrock":  # a signature is for one address only
        return with_credentials(HttpRequest(url, {}, b"", method="GET"), upstream)
    headers = {name: value for name, value in chat.headers.items() if name != "content-type"}
    return HttpRequest(url, headers, b"", method="GET")


def _address(provider: Provider, chat_url: str) -> str:
    vendor = provider.vendor
    # the vendor's own check does not apply to a proxy or a replacement
    if vendor and vendor.probe and not _has_own_address(provider):
        return fill_placeholders(vendor.probe, provider.options)
    chat, models = LIST_PATHS.get(provider.wire, ("/chat/completions", "/models"))
    url = chat_url.replace(f"/deployments/{MODEL}", "")  # Azure's dated versions
    return url.replace(chat.replace("{model}", MODEL), models)


def _has_own_address(provider: Provider) -> bool:
    vendor = provider.vendor
    return vendor is None or provider.base_url != fill_placeholders(
        vendor.base_url, provider.options
    )


def _read_list(response: httpx.Response) -> str:
    try:
        body: Any = json.loads(response.content)
    except ValueError:
        body = None
    models = body.get("data") or body.get("models") if isinstance(body, dict) else body
    if isinstance(models, list) and len(models) > 1:
        return f"answers and lists {len(models)} models"
    return "answers"


def _read_refusal(provider: Provider, adapter: Adapter, response: httpx.Response) -> Finding:
    status = response.status_code
    if status in NO_LIST_STATUSES:
        return _read_missing_list(provider, response)
    failure = adapter.read_error(status, response.headers, response.content)
    message = " ".join(failure.message.split())[:SHOWN]
    if failure.error_type in REFUSED:
        return Finding(
            is_well=False,
            text=f"refuses the key ({status}): {message} {_describe_remedy(provider)}",
        )
    if failure.error_type == ErrorType.PAYMENT_REQUIRED:
        return Finding(
            is_well=False, text=f"requires payment ({status}): {message} Add credit there."
        )
    if failure.error_type == ErrorType.RATE_LIMIT_EXCEEDED:
        return Finding(is_well=True, text="answers, but is rate limited now (429)")
    return Finding(
        is_well=False, text=f"answers {status}: {message} Try again later, or check base_url."
    )


def _read_missing_list(provider: Provider, response: httpx.Response) -> Finding:
    if _has_own_address(provider) and provider.wire in LIST_PATHS:
        message = f"has nothing at {response.url} ({response.status_code}): check base_url; "
        return Finding(is_well=False, text=message + BASE_URL_HINTS[provider.wire])
    return Finding(is_well=True, text="answers, but has no list of models: the key was not tried")


def _describe_remedy(provider: Provider) -> str:
    names = sorted(provider.vendor.key_variables) if provider.vendor else []
    where = f"{' / '.join(names)} or " if names else ""
    return f"Set a valid key in {where}its api_key in waybill.toml."


def _describe_unreachable(provider: Provider, error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {TIMEOUT_SECONDS} s: check the network, or try again later"
    if provider.vendor and provider.vendor.local:
        return (
            f"no server at {provider.base_url}: start it, or correct {provider.vendor.address[0]}"
        )
    return f"cannot be reached ({error}): check the network and base_url {provider.base_url}"
