"""Models as waybill.toml declares them."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from broker.catalog.models import Model
from broker.catalog.names import released
from broker.catalog.vendor_facts import interface_of, policy_of
from broker.money import nanos_from_usd
from broker.pricing import FLEX_PERCENT, PRIORITY_PERCENT, Price, Tier
from broker.providers.configuration import Provider
from broker.providers.endpoints import Endpoint
from broker.providers.vendors import Vendor
from broker.requests.operations import Interface
from broker.settings import EndpointRow, ModelRow, PriceRow

PER_MILLION = (
    *("prompt", "completion", "cache_read", "cache_write", "cache_write_1h", "reasoning"),
    *("audio", "audio_output", "image_token", "image_output_token", "characters"),
)
EACH = ("request", "image", "image_output", "audio_hour", "page", "web_search")


def declared_model(row: ModelRow, providers: Mapping[str, Provider]) -> Model:
    """Build a declared model. Raises SystemExit where it names an undefined provider."""
    return Model(
        slug=row.slug,
        name=row.name or row.slug,
        description=row.description,
        created=_unix(row.created) if row.created else released(row.slug) or 0,
        context_length=row.context_length,
        max_completion_tokens=row.max_completion_tokens,
        input_modalities=row.input_modalities or ("text",),
        output_modalities=row.output_modalities,
        supported_parameters=row.supported_parameters,
        endpoints=tuple(_endpoint(row, endpoint, providers) for endpoint in row.endpoints),
    )


def _endpoint(row: ModelRow, endpoint: EndpointRow, providers: Mapping[str, Provider]) -> Endpoint:
    if endpoint.provider not in providers:
        raise SystemExit(
            f"waybill: model {row.slug!r} in waybill.toml names provider {endpoint.provider!r}, "
            "which has no [[providers]] table and no API key in the environment"
        )
    parameters = endpoint.supported_parameters or row.supported_parameters
    return Endpoint(
        provider=endpoint.provider,
        model=row.slug,
        native=endpoint.model,
        price=declared_price(endpoint, providers[endpoint.provider].vendor),
        context_length=endpoint.context_length or row.context_length,
        max_completion_tokens=endpoint.max_completion_tokens or row.max_completion_tokens,
        quantization=endpoint.quantization or row.quantization,
        supported_parameters=None if parameters is None else frozenset(parameters),
        input_modalities=None if row.input_modalities is None else frozenset(row.input_modalities),
        output_modalities=frozenset(row.output_modalities),
        data_policy=policy_of(providers[endpoint.provider]),
        interface=_interface(endpoint),
        distillable=row.distillable,
    )


def _interface(row: EndpointRow) -> Interface:
    if row.interface is not None:
        return Interface(row.interface)
    return interface_of(row.provider, row.model) or Interface.PATHS


def _unix(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def declared_price(row: EndpointRow, vendor: Vendor | None = None) -> Price:
    """Read prices written in dollars per million tokens, or in dollars a piece.

    The shares of service tiers that the row leaves out are those of the vendor.
    """
    flat = _flat(row)
    flex, priority = _percents(row, vendor)
    tiers = sorted(row.tiers, key=lambda tier: tier.min_prompt_tokens)
    return Price(
        **flat,
        batch_discount=row.batch_discount,
        flex_percent=flex,
        priority_percent=priority,
        tiers=tuple(
            Tier(tier.min_prompt_tokens, Price(**{**flat, **_flat(tier)})) for tier in tiers
        ),
    )


def _percents(row: EndpointRow, vendor: Vendor | None) -> tuple[int, int]:
    """Return what the tiers `flex` and `priority` cost: as stated, else as usual at the vendor."""
    flex = vendor.flex_percent if vendor else FLEX_PERCENT
    priority = vendor.priority_percent if vendor else PRIORITY_PERCENT
    return (
        flex if row.flex_percent is None else row.flex_percent,
        priority if row.priority_percent is None else row.priority_percent,
    )


def _flat(row: PriceRow) -> dict[str, Any]:
    """Return the prices that a row sets, as nano-dollars."""
    stated = {name: getattr(row, name) for name in (*PER_MILLION, *EACH)}
    return {name: nanos_from_usd(value) for name, value in stated.items() if value is not None}
