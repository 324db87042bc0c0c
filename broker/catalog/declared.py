"""Build the models that waybill.toml declares."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from broker.catalog.models import Model
from broker.catalog.names import find_release_day
from broker.catalog.vendor_facts import find_interface, find_policy
from broker.money import nanos_from_usd
from broker.pricing import FLEX_PERCENT, PRIORITY_PERCENT, PictureRate, Price, Tier
from broker.providers.configuration import Provider
from broker.providers.endpoints import Endpoint
from broker.providers.vendors import Vendor
from broker.requests.operations import Interface
from broker.requests.parameters import limit_to_interface
from broker.settings import EndpointRow, ModelRow, PriceRow

PER_MILLION = (
    *("prompt", "completion", "cache_read", "cache_write", "cache_write_1h", "reasoning"),
    *("audio", "audio_output", "image_token", "image_output_token", "characters"),
)
EACH = ("request", "image", "image_output", "audio_hour", "page", "web_search")


def build_declared_model(row: ModelRow, providers: Mapping[str, Provider]) -> Model:
    """Build a declared model. Raises SystemExit where it names an undefined provider."""
    return Model(
        slug=row.slug,
        name=row.name or row.slug,
        description=row.description,
        created=_to_unix(row.created) if row.created else find_release_day(row.slug) or 0,
        context_length=row.context_length,
        max_completion_tokens=row.max_completion_tokens,
        input_modalities=row.input_modalities or ("text",),
        output_modalities=row.output_modalities,
        supported_parameters=row.supported_parameters,
        endpoints=tuple(_build_endpoint(row, endpoint, providers) for endpoint in row.endpoints),
    )


def _build_endpoint(
    row: ModelRow, endpoint: EndpointRow, providers: Mapping[str, Provider]
) -> Endpoint:
    if endpoint.provider not in providers:
        raise SystemExit(
            f"waybill: model {row.slug!r} in waybill.toml names provider {endpoint.provider!r}, "
            "which has no [[providers]] table and no API key in the environment"
        )
    parameters = endpoint.supported_parameters or row.supported_parameters
    interface = _find_interface(endpoint)
    return Endpoint(
        provider=endpoint.provider,
        model=row.slug,
        native=endpoint.model,
        price=build_declared_price(endpoint, providers[endpoint.provider].vendor),
        context_length=endpoint.context_length or row.context_length,
        max_completion_tokens=endpoint.max_completion_tokens or row.max_completion_tokens,
        quantization=endpoint.quantization or row.quantization,
        supported_parameters=None
        if parameters is None
        else limit_to_interface(frozenset(parameters), interface),
        input_modalities=None if row.input_modalities is None else frozenset(row.input_modalities),
        output_modalities=frozenset(row.output_modalities),
        data_policy=find_policy(providers[endpoint.provider]),
        interface=interface,
        distillable=row.distillable,
    )


def _find_interface(row: EndpointRow) -> Interface:
    if row.interface is not None:
        return Interface(row.interface)
    return find_interface(row.provider, row.model) or Interface.PATHS


def _to_unix(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def build_declared_price(row: EndpointRow, vendor: Vendor | None = None) -> Price:
    """Build prices from dollars per million tokens or per piece.

    The shares of service tiers that the row leaves out are those of the vendor.
    """
    flat = _find_prices(row)
    flex, priority = _find_percents(row, vendor)
    tiers = sorted(row.tiers, key=lambda tier: tier.min_prompt_tokens)
    return Price(
        **flat,
        batch_discount=row.batch_discount,
        flex_percent=flex,
        priority_percent=priority,
        pictures=tuple(
            PictureRate(each.quality, each.size, nanos_from_usd(each.price))
            for each in row.pictures
        ),
        tiers=tuple(
            Tier(tier.min_prompt_tokens, Price(**{**flat, **_find_prices(tier)})) for tier in tiers
        ),
    )


def _find_percents(row: EndpointRow, vendor: Vendor | None) -> tuple[int, int]:
    """Return the percents of the tiers `flex` and `priority`; the vendor's where not set."""
    flex = vendor.flex_percent if vendor else FLEX_PERCENT
    priority = vendor.priority_percent if vendor else PRIORITY_PERCENT
    return (
        flex if row.flex_percent is None else row.flex_percent,
        priority if row.priority_percent is None else row.priority_percent,
    )


def _find_prices(row: PriceRow) -> dict[str, Any]:
    """Return the prices that a row sets, as nano-dollars."""
    set_prices = {name: getattr(row, name) for name in (*PER_MILLION, *EACH)}
    return {name: nanos_from_usd(value) for name, value in set_prices.items() if value is not None}
