"""models.dev's `api.json`, read as listings. Pure.

Format (models.dev, "api.json"): providers by id, each with `models`; a model has `cost` in US
dollars per million tokens with `tiers` for long prompts, `limit`, `modalities` and flags.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from broker.catalog.models import Listing, Offer
from broker.catalog.names import Namer, take_apart
from broker.catalog.vendor_facts import abilities_of
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
SLUGS_AS_THEY_ARE = frozenset({"openrouter"})
USUAL = ("max_tokens", "top_p", "stop", "seed", "frequency_penalty", "presence_penalty")


class NotThatFormatError(ValueError):
    """The document is not models.dev's list."""


def read(body: Any, namer: Namer) -> Iterator[Listing]:
    """Yield the endpoints of known vendors that have a price. Raises NotThatFormatError."""
    if not isinstance(body, dict) or not all(
        isinstance(each, dict) and isinstance(each.get("models"), dict) for each in body.values()
    ):
        raise NotThatFormatError("not models.dev's api.json: providers with `models` were expected")
    for vendor in vendors().values():
        listed = body.get(vendor.models_dev or vendor.slug)
        if listed is not None:
            yield from _of_vendor(vendor, listed["models"].values(), namer)


def _of_vendor(vendor: Vendor, models: Any, namer: Namer) -> Iterator[Listing]:
    """Yield a vendor's models; of several names for one model the shortest."""
    taken = set()
    for model in sorted(models, key=lambda each: (len(each["id"]), each["id"])):
        cost = model.get("cost")
        if (
            not cost
            or "input" not in cost
            or "output" not in cost
            or model.get("status") == "alpha"
        ):
            continue
        slug = _slug(vendor, model, namer)
        if slug not in taken:
            taken.add(slug)
            yield _listing(vendor, model, slug)


def _slug(vendor: Vendor, model: Json, namer: Namer) -> str:
    if vendor.slug in SLUGS_AS_THEY_ARE:
        return str(model["id"]).lower()
    author = vendor.author or vendor.slug
    # the model it is built on tells more than its name there, unless it is only a part of it
    based = namer.find(str(model.get("base_model") or ""))
    return namer.find(model["id"], author=author) or based or namer.slug(model["id"], author=author)


def _listing(vendor: Vendor, model: Json, slug: str) -> Listing:
    limit, modalities = model.get("limit") or {}, model.get("modalities") or {}
    parameters = None if abilities_of(slug).parameters else _parameters(model)
    endpoint = Endpoint(
        provider=vendor.slug,
        model=slug,
        native=model["id"],
        context_length=limit.get("context") or None,
        max_completion_tokens=limit.get("output") or None,
        quantization=take_apart(model["id"]).quantization,
        input_modalities=frozenset(_words(modalities.get("input"))) or None,
        supported_parameters=parameters,
    )
    offer = Offer(
        endpoint,
        name=model.get("name"),
        created=_day(model.get("release_date")),
        knowledge_cutoff=model.get("knowledge"),
        output_modalities=_words(modalities.get("output")) or None,
        deprecated=True if model.get("status") == "deprecated" else None,
    )
    return Listing(offer, _prices(model["cost"]), _tiers(model["cost"].get("tiers") or ()))


def _prices(cost: Json) -> dict[str, int]:
    return {ours: nanos_from_usd(cost[name]) for name, ours in PRICES.items() if cost.get(name)} | {
        ours: nanos_from_usd(cost[name])
        for name, ours in PRICES.items()
        if name in ("input", "output")
    }


def _tiers(tiers: Sequence[Json]) -> dict[int, Mapping[str, int]]:
    """Return the prices of prompts that are longer than the size of their tier."""
    return {
        int(tier["tier"]["size"]) + 1: {
            ours: nanos_from_usd(tier[name]) for name, ours in PRICES.items() if name in tier
        }
        for tier in tiers
        if isinstance(tier.get("tier"), dict) and tier["tier"].get("size")
    }


def _parameters(model: Json) -> frozenset[str]:
    """Return the parameters that the flags speak of; what no flag denies is supported."""
    names = set(USUAL)
    if model.get("temperature", True):
        names.add("temperature")
    if model.get("tool_call"):
        names |= {"tools", "tool_choice", "parallel_tool_calls"}
    if model.get("reasoning"):
        names |= {"reasoning", "include_reasoning", "reasoning_effort"}
    if model.get("structured_output", True):
        names |= {"response_format", "structured_outputs"}
    return frozenset(names)


def _words(listed: Any) -> list[str]:
    return sorted(MODALITIES.get(word, word) for word in listed or ())


def _day(date: Any) -> int | None:
    """Read a day, or a month or a year as their first day."""
    for form in ("%Y-%m-%d", "%Y-%m", "%Y"):
        try:
            return int(datetime.strptime(str(date), form).replace(tzinfo=UTC).timestamp())
        except ValueError:
            continue
    return None
