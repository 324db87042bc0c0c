"""List models and prices of known vendors from the data set of the package genai-prices.

The data set is pinned with the package and never fetched. A price changes only by a new version of
the package or by `waybill catalog refresh --apply`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from math import ceil
from typing import Any

from genai_prices import data_snapshot

from broker.catalog.models import Offer
from broker.catalog.names import Namer, parse_name
from broker.money import nanos_from_usd
from broker.pricing import FLEX_PERCENT, PRIORITY_PERCENT, Price, Tier
from broker.providers.endpoints import Endpoint
from broker.providers.vendors import Vendor

CANONICAL = "openrouter"  # its ids are the slugs
UNITS = {
    "prompt": "input_mtok",
    "completion": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "reasoning": "output_reasoning_mtok",
    "audio": "input_audio_mtok",
    "audio_output": "output_audio_mtok",
    "image_token": "input_image_mtok",
    "image_output_token": "output_image_mtok",
    "characters": "input_mchars",
}
"""Field of `Price` → field of the data set, both per million."""
BATCH = {"processing": "batch"}
REGIONAL = "regional."  # it costs more than the `global.` id of the same model
FREE = ":free"  # OpenRouter's suffix
VARIANT = re.compile(r":[a-z]+$")  # the name of a variant at OpenRouter, which only it serves
AMBIGUOUS = (":batch", "~")  # batch prices, and names that change their model


def list_priced_slugs() -> Iterator[str]:
    """Yield the slugs of the data set: the ids of OpenRouter."""
    for model in load_price_list()[CANONICAL].models:
        if "/" in model.id and not model.id.startswith("~"):
            yield model.id.partition(":")[0].lower()


def list_priced_models(
    vendor: Vendor, namer: Namer, moment: datetime | None = None
) -> Iterator[Offer]:
    """Yield the data set's offers of a vendor, at the prices of that moment (UTC).

    A model without a price is left out, unless its id or the vendor says that it is free.
    """
    listed: Any = load_price_list().get(vendor.prices or "")
    if listed is None:
        return
    now = moment or datetime.now(UTC)
    seen: set[str] = set()
    for model in listed.models:
        if not _is_offered(vendor, model.id):
            continue
        slug = _find_slug(vendor, model.id, namer)
        if slug in seen:
            if model.id.startswith(REGIONAL):
                continue
            slug = f"{slug.partition('/')[0]}/{parse_name(model.id).name}"
        offer = _build_offer(vendor, model, slug, now)
        if slug not in seen and (not offer.endpoint.price.is_free or model.id.endswith(FREE)):
            seen.add(slug)
            yield offer
    for name in vendor.free:
        slug = namer.make_slug(name, author=vendor.author or vendor.slug)
        yield Offer(Endpoint(provider=vendor.slug, model=slug, native=name, price=Price()))


def _is_offered(vendor: Vendor, model_id: str) -> bool:
    if vendor.only and not model_id.startswith(vendor.only):
        return False
    if not model_id[-1].isalnum():  # the beginning of many names
        return False
    if vendor.without and model_id.startswith(vendor.without):
        return False
    if vendor.slug != CANONICAL and VARIANT.search(model_id):
        return False
    if vendor.prices == CANONICAL:
        return "/" in model_id and not any(mark in model_id for mark in AMBIGUOUS)
    return True


def _find_slug(vendor: Vendor, model_id: str, namer: Namer) -> str:
    if vendor.prices == CANONICAL:
        return model_id.lower()
    return namer.make_slug(model_id, author=vendor.author or vendor.slug)


def _build_offer(vendor: Vendor, model: Any, slug: str, moment: datetime) -> Offer:
    name = model.id.removeprefix(REGIONAL)
    return Offer(
        Endpoint(
            provider=vendor.slug,
            model=slug,
            native=vendor.native.format(model=name, name=name.rpartition("/")[2]),
            price=build_price(model, moment, vendor),
            context_length=model.context_window,
            quantization=parse_name(name).quantization,
        ),
        name=model.name,
        deprecated=model.deprecated or None,
    )


@cache
def load_price_list() -> dict[str, Any]:
    """Return the data set's providers by its own ids."""
    return {provider.id: provider for provider in data_snapshot.get_snapshot().providers}


def build_price(model: Any, moment: datetime, vendor: Vendor | None = None) -> Price:
    """Return a model's price at a moment; a tier holds for all tokens of a longer prompt.

    Service tiers that the data set does not contain have the vendor's usual percents.
    """
    prices = model.get_prices(moment)
    stated = {ours: value for ours, name in UNITS.items() if (value := getattr(prices, name))}
    sizes = sorted(
        {tier.start for value in stated.values() for tier in getattr(value, "tiers", ())}
    )
    flex, priority = _find_tier_percents(model, prices, moment, vendor)
    price = Price(
        **_find_prices(stated, 0),
        request=_to_nanos(prices.requests_kcount, 0) // 1000,
        audio_hour=_to_nanos(prices.audio_hours or prices.input_audio_hours, 0),
        web_search=_find_search_price(prices),
        page=_to_nanos(getattr(prices, "input_document_kpages", None), 0) // 1000,
        batch_discount=_find_batch_discount(model, prices, moment),
        flex_percent=flex,
        priority_percent=priority,
    )
    if not sizes:
        return price
    return replace(
        price,
        tiers=tuple(
            Tier(size + 1, replace(price, **_find_prices(stated, size + 1))) for size in sizes
        ),
    )


def _find_prices(stated: dict[str, Any], size: int) -> dict[str, Any]:
    return {name: _to_nanos(value, size) for name, value in stated.items()}


def _to_nanos(price: Any, size: int) -> int:
    """Convert dollars per unit to nano-dollars; `size` is that of the prompt, for tiered prices."""
    if price is None:
        return 0
    if not isinstance(price, Decimal):
        tiers: Sequence[Any] = price.tiers
        price = next((tier.price for tier in reversed(tiers) if size > tier.start), price.base)
    return nanos_from_usd(price)


def _find_search_price(prices: Any) -> int | None:
    """Return the price of a search; None where the data set has none."""
    thousand = getattr(prices, "web_searches_kcount", None)
    return None if thousand is None else _to_nanos(thousand, 0) // 1000


def _find_tier_percents(
    model: Any, usual: Any, moment: datetime, vendor: Vendor | None
) -> tuple[int, int]:
    """Return the prices of the tiers `flex` and `priority`, in per cent of the usual price."""
    flex = vendor.flex_percent if vendor else FLEX_PERCENT
    priority = vendor.priority_percent if vendor else PRIORITY_PERCENT
    return (
        _find_tier_percent(model, usual, moment, "flex", flex),
        _find_tier_percent(model, usual, moment, "priority", priority),
    )


def _find_tier_percent(model: Any, usual: Any, moment: datetime, tier: str, known: int) -> int:
    """Return the data set's percent of a tier, the larger of input and output; else `known`."""
    if not any(tier == each.when.get("service_tier") for each in model.price_variants or ()):
        return known
    tier_prices = model.get_prices(moment, {"service_tier": tier})
    shares = [
        ceil(
            Decimal(100)
            * _to_nanos(getattr(tier_prices, each), 0)
            / _to_nanos(getattr(usual, each), 0)
        )
        for each in ("input_mtok", "output_mtok")
        if _to_nanos(getattr(usual, each), 0)
    ]
    return max(shares, default=known)


def _find_batch_discount(model: Any, usual: Any, moment: datetime) -> int:
    """Return the per cent by which both input and output cost less in the batch API."""
    if not model.price_variants:
        return 0
    batch = model.get_prices(moment, BATCH)
    discounts = {
        round(100 - 100 * _to_nanos(getattr(batch, name), 0) / _to_nanos(getattr(usual, name), 0))
        for name in ("input_mtok", "output_mtok")
        if _to_nanos(getattr(usual, name), 0)
    }
    return max(0, min(discounts)) if discounts else 0
