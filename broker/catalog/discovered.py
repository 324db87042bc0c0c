"""A provider's own `GET /models`, read as listings. Pure.

The list is OpenAI's; beside an id, OpenRouter tells prices per token and limits, vLLM
`max_model_len`, others `context_length` or `context_window`.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any

from broker.catalog.models import Listing, Offer
from broker.catalog.names import Namer, take_apart
from broker.completion import Json
from broker.money import NANOS_PER_USD
from broker.providers.configuration import Provider
from broker.providers.endpoints import Endpoint

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
MOST_LISTED = 1_000  # models of one server that are shown
LONGEST_NAME = 200  # characters


def read(body: Any, provider: Provider, namer: Namer) -> Iterator[Listing]:
    """Yield the models of the list. One without prices has none, unless the server is one's own."""
    vendor = provider.vendor
    author = (vendor.author if vendor else None) or provider.slug
    for model in _models(body):
        native = model["id"]
        names_are_slugs = provider.slug == "openrouter"
        slug = native.lower() if names_are_slugs else namer.slug(native, author=author)
        yield _listing(model, provider, slug)


def read_local(body: Any, provider: Provider) -> list[Offer] | None:
    """Return the models of a server of one's own, under the names that it is asked by.

    None where the body is no list of models.
    """
    if not isinstance(_list(body), list):
        return None
    return [
        _listing(model, provider, f"{provider.slug}/{model['id']}").offer
        for model in islice(_models(body), MOST_LISTED)
        if _is_name(model["id"])
    ]


def _is_name(native: str) -> bool:
    return 0 < len(native) <= LONGEST_NAME and native.isprintable() and " " not in native


def _list(body: Any) -> Any:
    return body.get("data") or body.get("models") or [] if isinstance(body, dict) else body


def _models(body: Any) -> Iterator[Json]:
    models = _list(body)
    for model in models if isinstance(models, list) else ():
        if isinstance(model, dict) and isinstance(model.get("id"), str):
            yield model


def _listing(model: Json, provider: Provider, slug: str) -> Listing:
    native = model["id"]
    vendor = provider.vendor
    architecture, limits = _object(model.get("architecture")), _object(model.get("top_provider"))
    endpoint = Endpoint(
        provider=provider.slug,
        model=slug,
        native=native,
        context_length=next((size for name in CONTEXTS if (size := _whole(model.get(name)))), None),
        max_completion_tokens=_whole(limits.get("max_completion_tokens")),
        quantization=take_apart(native).quantization,
        input_modalities=_words(architecture.get("input_modalities")),
        supported_parameters=_words(model.get("supported_parameters")),
    )
    outputs = _words(architecture.get("output_modalities"))
    name = model.get("name")
    offer = Offer(
        endpoint,
        name=name if isinstance(name, str) else None,
        created=_whole(model.get("created")),
        output_modalities=None if outputs is None else sorted(outputs),
        expires=next((model[name] for name in RETIREMENTS if _is_day(model.get(name))), None),
    )
    pricing = model.get("pricing")
    if isinstance(pricing, dict):
        prices = _prices(pricing)
        return Listing(offer, prices or {}, as_stated=prices is None)
    own = bool(vendor and vendor.local)
    return Listing(offer, {"prompt": 0, "completion": 0} if own else {})


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _whole(value: Any) -> int | None:
    """Return a number that counts something, or None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 < value < float("inf") else None


def _words(value: Any) -> frozenset[str] | None:
    """Return a list of words as a set; None where there is none."""
    listed = value if isinstance(value, list) else ()
    return frozenset(each for each in listed if isinstance(each, str)) or None


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
