"""Load the catalog of a process from its sources, and again when these change."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import TypeVar

import structlog

from broker.background import Service
from broker.catalog import imports
from broker.catalog.declared import build_declared_model
from broker.catalog.lookup import Catalog
from broker.catalog.models import Model, Offer
from broker.catalog.names import Namer, find_release_day
from broker.catalog.priced import list_priced_models, list_priced_slugs
from broker.catalog.vendor_facts import (
    Abilities,
    find_abilities,
    find_interface,
    find_policy,
    find_retirement,
    find_search_fee,
    find_vendor_policy,
)
from broker.clock import now_ms
from broker.providers.configuration import Provider
from broker.providers.endpoints import DataPolicy, Endpoint
from broker.providers.vendors import vendors
from broker.requests.parameters import limit_to_interface
from broker.settings import Settings
from broker.storage.database import Database

Value = TypeVar("Value")
MODALITY_ORDER = ("text", "image", "file", "audio", "video")


def load(
    settings: Settings,
    providers: Mapping[str, Provider],
    applied: Iterable[Offer] = (),
    *,
    now: datetime | None = None,
) -> Catalog:
    """Build the catalog. `applied` are imported offers, which override those of the price list.

    A model that waybill.toml declares overrides all other sources. Raises SystemExit where
    waybill.toml names an undefined provider.
    """
    moment = now or datetime.now(UTC)
    namer = Namer(list_priced_slugs())
    declared = {row.slug: build_declared_model(row, providers) for row in settings.models}
    offers = group_by_slug(chain(applied, list_offers(namer, moment)))
    policies = {vendor.slug: find_vendor_policy(vendor) for vendor in vendors().values()}
    policies |= {slug: find_policy(provider) for slug, provider in providers.items()}
    today = moment.date().isoformat()
    known = {
        slug: _build_model(slug, each, policies, today) for slug, each in offers.items()
    } | declared
    wires = {vendor.slug: vendor.wire for vendor in vendors().values()}
    wires |= {slug: provider.wire for slug, provider in providers.items()}
    models = [_add_search_fees(model, wires) for model in known.values()]
    return Catalog(models, providers, namer)


def _add_search_fees(model: Model, wires: Mapping[str, str]) -> Model:
    """Add the vendor's usual search fee where no source states one; free models have none."""
    return replace(model, endpoints=tuple(_add_search_fee(each, wires) for each in model.endpoints))


def _add_search_fee(endpoint: Endpoint, wires: Mapping[str, str]) -> Endpoint:
    price, wire = endpoint.price, wires.get(endpoint.provider, "")
    fee = find_search_fee(wire, endpoint.native, endpoint.interface)
    if price.web_search is not None or price.is_free or price.as_stated or not fee:
        return endpoint
    return replace(endpoint, price=replace(price, web_search=fee))


def list_offers(namer: Namer, now: datetime | None = None) -> Iterable[Offer]:
    """Yield the offers of the price list for all vendors, at the prices of `now`."""
    moment = now or datetime.now(UTC)
    for vendor in vendors().values():
        yield from list_priced_models(vendor, namer, moment)


def group_by_slug(offers: Iterable[Offer]) -> dict[str, list[Offer]]:
    """Group offers by slug; of two for the same provider the first counts."""
    by_slug: dict[str, dict[str, Offer]] = defaultdict(dict)
    for offer in offers:
        by_slug[offer.endpoint.model].setdefault(offer.endpoint.provider, offer)
    return {slug: list(each.values()) for slug, each in by_slug.items()}


def _build_model(
    slug: str, offers: Sequence[Offer], policies: Mapping[str, DataPolicy], today: str
) -> Model:
    abilities = find_abilities(slug)
    endpoints = tuple(_build_endpoint(offer, abilities, policies, today) for offer in offers)
    contexts = [each.context_length for each in endpoints if each.context_length]
    inputs = (
        abilities.input or _find_first(each.input_modalities for each in endpoints) or ("text",)
    )
    outputs = (
        abilities.output or _find_first(offer.output_modalities for offer in offers) or ("text",)
    )
    parameters = abilities.parameters or _find_first(
        each.supported_parameters for each in endpoints
    )
    return Model(
        slug=slug,
        name=_find_first(offer.name for offer in offers) or slug,
        created=_find_first(offer.created for offer in offers) or find_release_day(slug) or 0,
        knowledge_cutoff=_find_first(offer.knowledge_cutoff for offer in offers),
        context_length=max(contexts) if contexts else None,
        max_completion_tokens=abilities.max_output
        or _find_first(each.max_completion_tokens for each in endpoints),
        input_modalities=_sort_modalities(inputs),
        output_modalities=_sort_modalities(outputs),
        supported_parameters=None if parameters is None else sorted(parameters),
        endpoints=endpoints,
    )


def _build_endpoint(
    offer: Offer, abilities: Abilities, policies: Mapping[str, DataPolicy], today: str
) -> Endpoint:
    """Build an endpoint; the abilities of the model's family fill what the offer does not state."""
    stated = offer.endpoint
    inputs = stated.input_modalities or abilities.input
    outputs = offer.output_modalities or abilities.output or ("text",)
    parameters = stated.supported_parameters or abilities.parameters
    expires = offer.expires or find_retirement(stated.provider, stated.native)
    interface = (
        find_interface(stated.provider, stated.native) or abilities.interface or stated.interface
    )
    return replace(
        stated,
        context_length=stated.context_length or abilities.context,
        max_completion_tokens=stated.max_completion_tokens or abilities.max_output,
        input_modalities=None if inputs is None else frozenset(inputs),
        output_modalities=frozenset(outputs),
        supported_parameters=None
        if parameters is None
        else limit_to_interface(_add_host_parameters(stated.provider, parameters), interface),
        data_policy=policies.get(stated.provider, stated.data_policy),
        interface=interface,
        expires=expires,
        retired=bool(offer.deprecated) if expires is None else expires <= today,
    )


def _add_host_parameters(provider: str, parameters: Iterable[str]) -> frozenset[str]:
    """Return a model's parameters and those that its provider supports for every model."""
    host = vendors().get(provider)
    return frozenset(parameters) | frozenset(host.parameters if host else ())


def _sort_modalities(modalities: Iterable[str]) -> list[str]:
    return sorted(
        modalities,
        key=lambda each: (
            MODALITY_ORDER.index(each) if each in MODALITY_ORDER else len(MODALITY_ORDER),
            each,
        ),
    )


def _find_first(values: Iterable[Value | None]) -> Value | None:
    """Return the first value that is not empty."""
    return next((each for each in values if each), None)


REFRESH_SECONDS = 2.0
PRICE_INTERVAL_MS = 30 * 60 * 1000

log = structlog.get_logger()


class LiveCatalog:
    """The current catalog, in `current`; a change replaces it and does not alter the old one."""

    def __init__(
        self,
        settings: Settings,
        providers: Mapping[str, Provider],
        database: Database,
        *,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._database = database
        self._clock = clock
        self._service = Service("catalog", REFRESH_SECONDS, self._refresh)
        self._local: Sequence[Offer] = ()
        self._state = database.read_now(imports.read_version), self._find_interval()
        self.current = self._load()

    def start(self) -> None:
        self._service.start()

    async def close(self) -> None:
        await self._service.stop()

    async def refresh(self) -> bool:
        """Load the catalog again if a source changed; return whether it did."""
        state = await self._database.read(imports.read_version), self._find_interval()
        if state == self._state:
            return False
        self.current = await asyncio.to_thread(self._load)
        self._state = state
        return True

    async def list_local(self, offers: Sequence[Offer]) -> None:
        """Replace the models that local servers list."""
        if offers != self._local:
            self._local = offers
            self.current = await asyncio.to_thread(self._load)

    def _load(self) -> Catalog:
        now = self._clock()
        offers = self._database.read_now(imports.list_current, now)
        moment = datetime.fromtimestamp(now / 1000, UTC)
        listed = chain(offers, self._local)
        return load(self._settings, self._providers, listed, now=moment)

    def _find_interval(self) -> int:
        return self._clock() // PRICE_INTERVAL_MS

    async def _refresh(self) -> None:
        if await self.refresh():
            log.info("catalog.loaded", models=len(self.current.models))
