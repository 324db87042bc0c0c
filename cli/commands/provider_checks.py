"""Ask a provider something that costs nothing: does it answer, and does it take our key.

Credentials are put on by the wire's own adapter, so a check sees what a job would see.
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
from workers.adapters.registry import ADAPTERS
from workers.provider_routes import build_routes, build_upstream

PATIENCE_SECONDS = 10
SHOWN = 160  # characters of a provider's own message

LISTS: Mapping[str, tuple[str, str]] = {  # how a wire's chat address becomes its list of models
    "openai": ("/chat/completions", "/models"),
    "mistral": ("/chat/completions", "/models"),
    "azure": ("/chat/completions", "/models"),
    "anthropic": ("/messages", "/models"),
    "gemini": ("/{model}:generateContent", "?pageSize=1"),
    "cohere": ("/v2/chat", "/v1/models"),
}
BASES: Mapping[str, str] = {  # how the address of each wire usually looks
    "openai": "it usually ends in /v1",
    "mistral": "it usually ends in /v1",
    "azure": "it is the resource's address, as https://NAME.openai.azure.com",
    "anthropic": "it usually ends in /v1",
    "gemini": "it usually ends in /v1beta (Google AI Studio) or /v1 (Vertex AI)",
    "cohere": "it is the host alone, as https://api.cohere.com",
    "bedrock": "it is the region's host, as https://bedrock-runtime.us-east-1.amazonaws.com",
}
NO_LIST = frozenset({httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED})
REFUSED = frozenset({ErrorType.AUTHENTICATION, ErrorType.PERMISSION_DENIED})
MODEL = "waybill-check"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check; the text says what is wrong and what to do."""

    is_well: bool
    text: str


def check(provider: Provider, http: httpx.Client) -> Finding:
    """Ask a provider for its models, or what its row names instead; failures are findings."""
    try:
        build_routes({provider.slug: provider})
    except SystemExit as refusal:
        return Finding(is_well=False, text=str(refusal).removeprefix("waybill: "))
    adapter = ADAPTERS[provider.wire]
    request = probe(provider, adapter)
    try:
        response = http.request(request.method, request.url, headers=dict(request.headers))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding(is_well=False, text=_unreachable(provider, error))
    if response.is_success:
        return Finding(is_well=True, text=_listed(response))
    return _refused(provider, adapter, response)


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
    # what a row says of the vendor's own address says nothing of a proxy or a stand-in
    if vendor and vendor.probe and not _is_elsewhere(provider):
        return fill_placeholders(vendor.probe, provider.options)
    chat, models = LISTS.get(provider.wire, ("/chat/completions", "/models"))
    url = chat_url.replace(f"/deployments/{MODEL}", "")  # Azure's dated versions
    return url.replace(chat.replace("{model}", MODEL), models)


def _is_elsewhere(provider: Provider) -> bool:
    vendor = provider.vendor
    return vendor is None or provider.base_url != fill_placeholders(
        vendor.base_url, provider.options
    )


def _listed(response: httpx.Response) -> str:
    try:
        body: Any = json.loads(response.content)
    except ValueError:
        body = None
    models = body.get("data") or body.get("models") if isinstance(body, dict) else body
    if isinstance(models, list) and len(models) > 1:
        return f"answers and lists {len(models)} models"
    return "answers"


def _refused(provider: Provider, adapter: Adapter, response: httpx.Response) -> Finding:
    status = response.status_code
    if status in NO_LIST:
        return _no_list(provider, response)
    failure = adapter.read_error(status, response.headers, response.content)
    told = " ".join(failure.message.split())[:SHOWN]
    if failure.error_type in REFUSED:
        return Finding(
            is_well=False, text=f"refuses the key ({status}): {told} {_remedy(provider)}"
        )
    if failure.error_type == ErrorType.PAYMENT_REQUIRED:
        return Finding(is_well=False, text=f"requires payment ({status}): {told} Add credit there.")
    if failure.error_type == ErrorType.RATE_LIMIT_EXCEEDED:
        return Finding(is_well=True, text="answers, but is rate limited now (429)")
    return Finding(
        is_well=False, text=f"answers {status}: {told} Try again later, or check base_url."
    )


def _no_list(provider: Provider, response: httpx.Response) -> Finding:
    if _is_elsewhere(provider):
        told = f"has nothing at {response.url} ({response.status_code}): check base_url; "
        return Finding(is_well=False, text=told + BASES[provider.wire])
    return Finding(is_well=True, text="answers, but has no list of models: the key was not tried")


def _remedy(provider: Provider) -> str:
    names = sorted(provider.vendor.key_variables) if provider.vendor else []
    where = f"{' / '.join(names)} or " if names else ""
    return f"Put a valid key into {where}its api_key in waybill.toml."


def _unreachable(provider: Provider, error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {PATIENCE_SECONDS} s: check the network, or try again later"
    if provider.vendor and provider.vendor.local:
        return f"nobody at {provider.base_url}: start it, or correct {provider.vendor.address[0]}"
    return f"cannot be reached ({error}): check the network and base_url {provider.base_url}"
