"""Models and prices of known vendors, from the genai-prices data set that comes with its wheel."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from genai_prices import data_snapshot

from broker.money import nanos_from_usd
from broker.pricing import Price
from broker.providers import Provider
from broker.routing import Endpoint


@dataclass(frozen=True, slots=True)
class PricedModel:
    """An endpoint with the model's display name."""

    endpoint: Endpoint
    name: str


def priced_models(provider: Provider) -> Iterator[PricedModel]:
    """Yield what the data set knows of a provider, at today's base prices."""
    vendor = provider.vendor
    if vendor is None or vendor.prices is None:
        return
    listed: Any = _by_id().get(vendor.prices)
    for model in listed.models if listed else ():
        if vendor.only and not model.id.startswith(vendor.only):
            continue
        author = vendor.author or vendor.slug
        slug = model.id if "/" in model.id else f"{author}/{model.id}"
        prices = model.get_prices(datetime.now(UTC))
        yield PricedModel(
            Endpoint(
                provider=provider.slug,
                model=slug.lower(),
                native=vendor.native.format(model=model.id),
                price=_price(prices),
                context_length=model.context_window,
            ),
            model.name or slug,
        )


@cache
def _by_id() -> dict[str, Any]:
    return {provider.id: provider for provider in data_snapshot.get_snapshot().providers}


def _price(prices: Any) -> Price:
    read, write = prices.cache_read_mtok, prices.cache_write_mtok
    return Price(
        prompt=_nanos(prices.input_mtok),
        completion=_nanos(prices.output_mtok),
        cache_read=None if read is None else _nanos(read),
        cache_write=None if write is None else _nanos(write),
        request=_nanos(prices.requests_kcount) // 1000,
    )


def _nanos(price: Any) -> int:
    """Read a price in dollars per million; of tiered prices the base one."""
    if price is None:
        return 0
    base = price if isinstance(price, Decimal) else price.base
    return nanos_from_usd(base)
