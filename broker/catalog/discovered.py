"""Read a provider's own `GET /models` as listings. Pure.

The list has OpenAI's form. Besides ids, OpenRouter gives prices per token and limits, vLLM
`max_model_len`, others `context_length` or `context_window`.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any

from broker.catalog.models import Listing, Offer
from broker.catalog.names import Namer, parse_name
from broker.completion import Json
from broker.money import NANOS_PER_USD
from broker.providers.configuration import Provider
from broker.providers.endpoints import Endpoint

CONTEXTS = ("context_length", "max_model_len", "context_window", "max_context_length")
RETIREMENTS = ("shutdown_date", "expiration_date")
"""OpenAI's and OpenRouter's fields for the day on which a model is retired."""
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
MAX_LISTED = 1_000  # models of one server in the listing
MAX_NAME_LENGTH = 200  # characters


def read(body: Any, provider: Provider, namer: Namer) -> Iterator[Listing]:
    """Yield the models of the list. Those of a local server without prices are free."""
    vendor = provider.vendor
    author = (vendor.author if vendor else None) or provider.slug
    for model in _find_models(body):
        native = model["id"]
        names_are_slugs = provider.slug == "openrouter"
        slug = native.lower() if names_are_slugs else namer.make_slug(native, author=author)
        yield _build_listing(model, provider, slug)


def read_local(body: Any, provider: Provider) -> list[Offer] | None:
    """Return the models of a local server; their slugs are `provider/id`.

    Return None where the body is no list of models.
    """
    if not isinstance(_find_list(body), list):
        return None
    return [
        _build_listing(model, provider, f"{provider.slug}/{model['id']}").offer
        for model in islice(_find_models(body), MAX_LISTED)
        if _is_name(model["id"])
    ]


def _is_name(native: str) -> bool:
    return 0 < len(native) <= MAX_NAME_LENGTH and native.isprintable() and " " not in native


def _find_list(body: Any) -> Any:
    return body.get("data") or body.get("models") or [] if isinstance(body, dict) else body


def _find_models(body: Any) -> Iterator[Json]:
    models = _find_list(body)
    for model in models if isinstance(models, list) else ():
        if isinstance(model, dict) and isinstance(model.get("id"), str):
            yield model


def _build_listing(model: Json, provider: Provider, slug: str) -> Listing:
    native = model["id"]
    vendor = provider.vendor
    architecture, limits = (
        _to_object(model.get("architecture")),
        _to_object(model.get("top_provider")),
    )
    endpoint = Endpoint(
        provider=provider.slug,
        model=slug,
        native=native,
        context_length=next(
            (size for name in CONTEXTS if (size := _to_count(model.get(name)))), None
        ),
        max_completion_tokens=_to_count(limits.get("max_completion_tokens")),
        quantization=parse_name(native).quantization,
        input_modalities=_to_set(architecture.get("input_modalities")),
        supported_parameters=_to_set(model.get("supported_parameters")),
    )
    outputs = _to_set(architecture.get("output_modalities"))
    name = model.get("name")
    offer = Offer(
        endpoint,
        name=name if isinstance(name, str) else None,
        created=_to_count(model.get("created")),
        output_modalities=None if outputs is None else sorted(outputs),
        expires=next((model[name] for name in RETIREMENTS if _is_day(model.get(name))), None),
    )
    pricing = model.get("pricing")
    if isinstance(pricing, dict):
        prices = _convert_prices(pricing)
        return Listing(offer, prices or {}, as_stated=prices is None)
    is_local = bool(vendor and vendor.local)
    return Listing(offer, {"prompt": 0, "completion": 0} if is_local else {})


def _to_object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _to_count(value: Any) -> int | None:
    """Return a positive finite number as an int; None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 < value < float("inf") else None


def _to_set(value: Any) -> frozenset[str] | None:
    """Return the strings of a list as a set; None without any."""
    listed = value if isinstance(value, list) else ()
    return frozenset(each for each in listed if isinstance(each, str)) or None


def _convert_prices(pricing: Json) -> dict[str, int] | None:
    """Return prices in nano-dollars; None for variable prices (OpenRouter states -1)."""
    try:
        stated = {name: Decimal(str(value)) for name, value in pricing.items() if _is_plain(value)}
    except InvalidOperation:
        return {}
    if any(value < 0 for value in stated.values()):
        return None
    tokens = {
        field: int(stated[name] * NANOS_PER_USD * MILLION)
        for name, field in PER_TOKEN.items()
        if name in stated
    }
    return tokens | {
        field: int(stated[name] * NANOS_PER_USD) for name, field in EACH.items() if name in stated
    }


def _is_day(value: Any) -> bool:
    """Return whether a value is an ISO date."""
    try:
        return isinstance(value, str) and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
