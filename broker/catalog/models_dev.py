"""Read models.dev's `api.json` as listings. Pure.

Format (models.dev, "api.json"): providers by id, each with `models`; a model has `cost` in US
dollars per million tokens with `tiers` for long prompts, `limit`, `modalities` and flags.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from broker.catalog.models import Listing, Offer
from broker.catalog.names import Namer, parse_name
from broker.catalog.vendor_facts import find_abilities
from broker.completion import Json
from broker.money import nanos_from_usd
from broker.providers.endpoints import Endpoint
from broker.providers.vendors import Vendor, vendors

PRICES = {
    "input": "prompt",
    "output": "completion",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
    "reasoning": "reasoning",
    "input_audio": "audio",
    "output_audio": "audio_output",
}
MODALITIES = {"pdf": "file"}
UNCHANGED_SLUGS = frozenset({"openrouter"})
COMMON_PARAMETERS = ("max_tokens", "top_p", "stop", "seed", "frequency_penalty", "presence_penalty")


class ModelListError(ValueError):
    """The document is not models.dev's list."""


def read(body: Any, namer: Namer) -> Iterator[Listing]:
    """Yield the endpoints of known vendors that have a price. Raises NotThatFormatError."""
    if not isinstance(body, dict) or not all(
        isinstance(each, dict) and isinstance(each.get("models"), dict) for each in body.values()
    ):
        raise ModelListError("not models.dev's api.json: providers with `models` were expected")
    for vendor in vendors().values():
        models = body.get(vendor.models_dev or vendor.slug)
        if models is not None:
            yield from _list_models(vendor, models["models"].values(), namer)


def _list_models(vendor: Vendor, models: Any, namer: Namer) -> Iterator[Listing]:
    """Yield a vendor's models; of several ids for one model only the shortest."""
    seen = set()
    for model in sorted(models, key=lambda each: (len(each["id"]), each["id"])):
        cost = model.get("cost")
        if (
            not cost
            or "input" not in cost
            or "output" not in cost
            or model.get("status") == "alpha"
        ):
            continue
        slug = _find_slug(vendor, model, namer)
        if slug not in seen:
            seen.add(slug)
            yield _build_listing(vendor, model, slug)


def _find_slug(vendor: Vendor, model: Json, namer: Namer) -> str:
    if vendor.slug in UNCHANGED_SLUGS:
        return str(model["id"]).lower()
    author = vendor.author or vendor.slug
    # an id that names a known author wins; otherwise the base model is more precise than the id
    based = namer.find(str(model.get("base_model") or ""))
    return (
        namer.find(model["id"], author=author)
        or based
        or namer.make_slug(model["id"], author=author)
    )


def _build_listing(vendor: Vendor, model: Json, slug: str) -> Listing:
    limit, modalities = model.get("limit") or {}, model.get("modalities") or {}
    parameters = None if find_abilities(slug).parameters else _find_parameters(model)
    endpoint = Endpoint(
        provider=vendor.slug,
        model=slug,
        native=model["id"],
        context_length=limit.get("context") or None,
        max_completion_tokens=limit.get("output") or None,
        quantization=parse_name(model["id"]).quantization,
        input_modalities=frozenset(_convert_modalities(modalities.get("input"))) or None,
        supported_parameters=parameters,
    )
    offer = Offer(
        endpoint,
        name=model.get("name"),
        created=_parse_day(model.get("release_date")),
        knowledge_cutoff=model.get("knowledge"),
        output_modalities=_convert_modalities(modalities.get("output")) or None,
        deprecated=True if model.get("status") == "deprecated" else None,
    )
    return Listing(
        offer, _convert_prices(model["cost"]), _convert_tiers(model["cost"].get("tiers") or ())
    )


def _convert_prices(cost: Json) -> dict[str, int]:
    return {
        field: nanos_from_usd(cost[name]) for name, field in PRICES.items() if cost.get(name)
    } | {
        field: nanos_from_usd(cost[name])
        for name, field in PRICES.items()
        if name in ("input", "output")
    }


def _convert_tiers(tiers: Sequence[Json]) -> dict[int, Mapping[str, int]]:
    """Return the prices of prompts that are longer than the size of their tier."""
    return {
        int(tier["tier"]["size"]) + 1: {
            field: nanos_from_usd(tier[name]) for name, field in PRICES.items() if name in tier
        }
        for tier in tiers
        if isinstance(tier.get("tier"), dict) and tier["tier"].get("size")
    }


def _find_parameters(model: Json) -> frozenset[str]:
    """Return the supported parameters by the model's flags; without a flag one is supported."""
    names = set(COMMON_PARAMETERS)
    if model.get("temperature", True):
        names.add("temperature")
    if model.get("tool_call"):
        names |= {"tools", "tool_choice", "parallel_tool_calls"}
    if model.get("reasoning"):
        names |= {"reasoning", "include_reasoning", "reasoning_effort"}
    if model.get("structured_output", True):
        names |= {"response_format", "structured_outputs"}
    return frozenset(names)


def _convert_modalities(models: Any) -> list[str]:
    return sorted(MODALITIES.get(word, word) for word in models or ())


def _parse_day(date: Any) -> int | None:
    """Return the first day of a day, month or year as Unix seconds; None for other text."""
    for form in ("%Y-%m-%d", "%Y-%m", "%Y"):
        try:
            return int(datetime.strptime(str(date), form).replace(tzinfo=UTC).timestamp())
        except ValueError:
            continue
    return None
