"""Models and prices of known vendors, from the genai-prices data set that comes with its wheel.

The set is pinned with the package and never fetched: a price changes when somebody says so
(`waybill catalog refresh --apply`, or a new version of the package), not by itself.
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
from broker.catalog.names import Namer, take_apart
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
"""Our price → the set's, both by the million."""
BATCH = {"processing": "batch"}
REGIONAL = "regional."  # dearer than the `global.` one of the same model
FREE = ":free"  # OpenRouter's word
VARIANT = re.compile(r":[a-z]+$")  # the name of a variant at OpenRouter, which only it serves
AMBIGUOUS = (":batch", "~")  # prices of a lane, and names that move


def priced_slugs() -> Iterator[str]:
    """Yield the slugs that the data set knows, OpenRouter's."""
    for model in by_id()[CANONICAL].models:
        if "/" in model.id and not model.id.startswith("~"):
            yield model.id.partition(":")[0].lower()


def priced_models(vendor: Vendor, namer: Namer, moment: datetime | None = None) -> Iterator[Offer]:
    """Yield what the data set knows of a vendor's models, at the prices of that moment (UTC).

    A model without a price that we could charge is left out, unless it is said to be free.
    """
    listed: Any = by_id().get(vendor.prices or "")
    if listed is None:
        return
    now = moment or datetime.now(UTC)
    taken: set[str] = set()
    for model in listed.models:
        if not _is_offered(vendor, model.id):
            continue
        slug = _slug(vendor, model.id, namer)
        if slug in taken:
            if model.id.startswith(REGIONAL):
                continue
            slug = f"{slug.partition('/')[0]}/{take_apart(model.id).name}"
        offer = _offer(vendor, model, slug, now)
        if slug not in taken and (not offer.endpoint.price.is_free or model.id.endswith(FREE)):
            taken.add(slug)
            yield offer


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


def _slug(vendor: Vendor, model_id: str, namer: Namer) -> str:
    if vendor.prices == CANONICAL:
        return model_id.lower()
    return namer.slug(model_id, author=vendor.author or vendor.slug)


def _offer(vendor: Vendor, model: Any, slug: str, moment: datetime) -> Offer:
    name = model.id.removeprefix(REGIONAL)
    return Offer(
        Endpoint(
            provider=vendor.slug,
            model=slug,
            native=vendor.native.format(model=name, name=name.rpartition("/")[2]),
            price=price_of(model, moment, vendor),
            context_length=model.context_window,
            quantization=take_apart(name).quantization,
        ),
        name=model.name,
        deprecated=model.deprecated or None,
    )


@cache
def by_id() -> dict[str, Any]:
    """Return the data set's providers by its own ids."""
    return {provider.id: provider for provider in data_snapshot.get_snapshot().providers}


def price_of(model: Any, moment: datetime, vendor: Vendor | None = None) -> Price:
    """Return a model's price then; a tier is for all tokens of a prompt longer than its size.

    Service tiers that the set does not know cost what they usually do at the vendor.
    """
    prices = model.get_prices(moment)
    stated = {ours: value for ours, name in UNITS.items() if (value := getattr(prices, name))}
    sizes = sorted(
        {tier.start for value in stated.values() for tier in getattr(value, "tiers", ())}
    )
    price = replace(
        _at(stated, 0),
        request=_nanos(prices.requests_kcount, 0) // 1000,
        audio_hour=_nanos(prices.audio_hours or prices.input_audio_hours, 0),
        web_search=_searches(prices),
        page=_nanos(getattr(prices, "input_document_kpages", None), 0) // 1000,
        batch_discount=_batch_discount(model, prices, moment),
    )
    percents = _tier_percents(model, prices, moment, vendor)
    price = replace(price, flex_percent=percents[0], priority_percent=percents[1])
    return replace(
        price,
        tiers=tuple(Tier(size + 1, replace(price, **_prices(stated, size + 1))) for size in sizes),
    )


def _at(stated: dict[str, Any], size: int) -> Price:
    return Price(**_prices(stated, size))


def _prices(stated: dict[str, Any], size: int) -> dict[str, Any]:
    return {name: _nanos(value, size) for name, value in stated.items()}


def _nanos(price: Any, size: int) -> int:
    """Read dollars per unit as nano-dollars, of tiered prices those for a prompt of this size."""
    if price is None:
        return 0
    if not isinstance(price, Decimal):
        tiers: Sequence[Any] = price.tiers
        price = next((tier.price for tier in reversed(tiers) if size > tier.start), price.base)
    return nanos_from_usd(price)


def _searches(prices: Any) -> int | None:
    """Return the price of a search, None where the set does not tell."""
    thousand = getattr(prices, "web_searches_kcount", None)
    return None if thousand is None else _nanos(thousand, 0) // 1000


def _tier_percents(
    model: Any, usual: Any, moment: datetime, vendor: Vendor | None
) -> tuple[int, int]:
    """Return what the tiers `flex` and `priority` cost, in per cent of the usual price."""
    flex = vendor.flex_percent if vendor else FLEX_PERCENT
    priority = vendor.priority_percent if vendor else PRIORITY_PERCENT
    return (
        _tier_percent(model, usual, moment, "flex", flex),
        _tier_percent(model, usual, moment, "priority", priority),
    )


def _tier_percent(model: Any, usual: Any, moment: datetime, tier: str, known: int) -> int:
    """Return the set's own figure where it has one; of input and output the dearer part counts."""
    if not any(tier == each.when.get("service_tier") for each in model.price_variants or ()):
        return known
    asked = model.get_prices(moment, {"service_tier": tier})
    shares = [
        ceil(Decimal(100) * _nanos(getattr(asked, each), 0) / _nanos(getattr(usual, each), 0))
        for each in ("input_mtok", "output_mtok")
        if _nanos(getattr(usual, each), 0)
    ]
    return max(shares, default=known)


def _batch_discount(model: Any, usual: Any, moment: datetime) -> int:
    """Return the per cent that input and output alike are cheaper by in the batch lane."""
    batch = model.get_prices(moment, BATCH)
    cuts = {
        round(100 - 100 * _nanos(getattr(batch, name), 0) / _nanos(getattr(usual, name), 0))
        for name in ("input_mtok", "output_mtok")
        if _nanos(getattr(usual, name), 0)
    }
    return max(0, min(cuts)) if cuts else 0
