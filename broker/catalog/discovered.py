"""A provider's own `GET /models`, read as listings. Pure.

The list is OpenAI's; beside an id, OpenRouter tells prices per token and limits, vLLM
`max_model_len`, others `context_length` or `context_window`.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from broker.catalog.models import Listing, Offer
from broker.catalog.names import Namer, take_apart
from broker.completion import Json
from broker.money import NANOS_PER_USD
from broker.providers import Provider
from broker.routing import Endpoint

CONTEXTS = ("context_length", "max_model_len", "context_window", "max_context_length")
RETIREMENTS = ("shutdown_date", "expiration_date")
"""OpenAI's and OpenRouter's names for the day on which a model is retired."""
PER_TOKEN = {
    "prompt": "prompt",
    "completion": "completion",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write",
    "internal_reasoning": "reasoning",
    "audio": "audio",
}
EACH = {
    "request": "request",
    "image": "image",
    "image_output": "image_output",
    "web_search": "web_search",
}
MILLION = 1_000_000


def read(body: Any, provider: Provider, namer: Namer) -> Iterator[Listing]:
    """Yield the models of the list. One without prices has none, unless the server is one's own."""
    models = body.get("data") or body.get("models") if isinstance(body, dict) else body
    for model in models if isinstance(models, list) else ():
        if isinstance(model, dict) and isinstance(model.get("id"), str):
            yield _listing(model, provider, namer)


def _listing(model: Json, provider: Provider, namer: Namer) -> Listing:
    native = model["id"]
    vendor = provider.vendor
    author = (vendor.author if vendor else None) or provider.slug
    slug = native.lower() if provider.slug == "openrouter" else namer.slug(native, author=author)
    architecture = model.get("architecture") or {}
    endpoint = Endpoint(
        provider=provider.slug,
        model=slug,
        native=native,
        context_length=next((model[name] for name in CONTEXTS if model.get(name)), None),
        max_completion_tokens=(model.get("top_provider") or {}).get("max_completion_tokens"),
        quantization=take_apart(native).quantization,
        input_modalities=frozenset(architecture.get("input_modalities") or ()) or None,
        supported_parameters=frozenset(model.get("supported_parameters") or ()) or None,
    )
    offer = Offer(
        endpoint,
        name=model.get("name"),
        created=model.get("created") or None,
        output_modalities=sorted(architecture.get("output_modalities") or ()) or None,
        expires=next((model[name] for name in RETIREMENTS if _is_day(model.get(name))), None),
    )
    pricing = model.get("pricing")
    if isinstance(pricing, dict):
        prices = _prices(pricing)
        return Listing(offer, prices or {}, as_stated=prices is None)
    own = bool(vendor and vendor.local)
    return Listing(offer, {"prompt": 0, "completion": 0} if own else {})


def _prices(pricing: Json) -> dict[str, int] | None:
    """Return prices in our units; None where they depend on what is chosen (OpenRouter: -1)."""
    try:
        stated = {name: Decimal(str(value)) for name, value in pricing.items() if _is_plain(value)}
    except InvalidOperation:
        return {}
    if any(value < 0 for value in stated.values()):
        return None
    tokens = {
        ours: int(stated[name] * NANOS_PER_USD * MILLION)
        for name, ours in PER_TOKEN.items()
        if name in stated
    }
    return tokens | {
        ours: int(stated[name] * NANOS_PER_USD) for name, ours in EACH.items() if name in stated
    }


def _is_day(value: Any) -> bool:
    """Tell whether something is an ISO date."""
    try:
        return isinstance(value, str) and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
