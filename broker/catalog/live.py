"""The catalog of a running process: assembled from its sources, replaced when these change."""

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
from broker.catalog.declared import declared_model
from broker.catalog.lookup import Catalog
from broker.catalog.models import Model, Offer
from broker.catalog.names import Namer, released
from broker.catalog.priced import priced_models, priced_slugs
from broker.catalog.vendor_facts import (
    Abilities,
    abilities_of,
    interface_of,
    policy_of,
    retirement_of,
    search_fee,
    vendor_policy,
)
from broker.clock import now_ms
from broker.providers.configuration import Provider
from broker.providers.endpoints import DataPolicy, Endpoint
from broker.providers.vendors import vendors
from broker.settings import Settings
from broker.storage.database import Database

Some = TypeVar("Some")
ORDER = ("text", "image", "file", "audio", "video")


def load(
    settings: Settings,
    providers: Mapping[str, Provider],
    applied: Iterable[Offer] = (),
    *,
    now: datetime | None = None,
) -> Catalog:
    """Build the catalog. `applied` are offers that an import put over those of the price list.

    A model that waybill.toml declares is as declared, whatever else is known of it. Raises
    SystemExit where waybill.toml names an undefined provider.
    """
    moment = now or datetime.now(UTC)
    namer = Namer(priced_slugs())
    declared = {row.slug: declared_model(row, providers) for row in settings.models}
    offers = offers_by_slug(chain(applied, listed_offers(namer, moment)))
    policies = {vendor.slug: vendor_policy(vendor) for vendor in vendors().values()}
    policies |= {slug: policy_of(provider) for slug, provider in providers.items()}
    today = moment.date().isoformat()
    known = {slug: _model(slug, each, policies, today) for slug, each in offers.items()} | declared
    wires = {vendor.slug: vendor.wire for vendor in vendors().values()}
    wires |= {slug: provider.wire for slug, provider in providers.items()}
    models = [_with_search_fees(model, wires) for model in known.values()]
    return Catalog(models, providers, namer)


def _with_search_fees(model: Model, wires: Mapping[str, str]) -> Model:
    """Put the vendor's usual fee where nobody says what a search costs; free models have none."""
    return replace(model, endpoints=tuple(_with_fee(each, wires) for each in model.endpoints))


def _with_fee(endpoint: Endpoint, wires: Mapping[str, str]) -> Endpoint:
    price, fee = endpoint.price, search_fee(wires.get(endpoint.provider, ""), endpoint.native)
    if price.web_search is not None or price.is_free or price.as_stated or not fee:
        return endpoint
    return replace(endpoint, price=replace(price, web_search=fee))


def listed_offers(namer: Namer, now: datetime | None = None) -> Iterable[Offer]:
    """Yield what the price list says of every vendor, at its prices of now."""
    moment = now or datetime.now(UTC)
    for vendor in vendors().values():
        yield from priced_models(vendor, namer, moment)


def offers_by_slug(offers: Iterable[Offer]) -> dict[str, list[Offer]]:
    """Gather the offers of each model; of two for the same provider the first counts."""
    gathered: dict[str, dict[str, Offer]] = defaultdict(dict)
    for offer in offers:
        gathered[offer.endpoint.model].setdefault(offer.endpoint.provider, offer)
    return {slug: list(each.values()) for slug, each in gathered.items()}


def _model(
    slug: str, offers: Sequence[Offer], policies: Mapping[str, DataPolicy], today: str
) -> Model:
    abilities = abilities_of(slug)
    endpoints = tuple(_endpoint(offer, abilities, policies, today) for offer in offers)
    contexts = [each.context_length for each in endpoints if each.context_length]
    inputs = abilities.input or _first(each.input_modalities for each in endpoints) or ("text",)
    outputs = abilities.output or _first(offer.output_modalities for offer in offers) or ("text",)
    parameters = abilities.parameters or _first(each.supported_parameters for each in endpoints)
    return Model(
        slug=slug,
        name=_first(offer.name for offer in offers) or slug,
        created=_first(offer.created for offer in offers) or released(slug) or 0,
        knowledge_cutoff=_first(offer.knowledge_cutoff for offer in offers),
        context_length=max(contexts) if contexts else None,
        max_completion_tokens=abilities.max_output
        or _first(each.max_completion_tokens for each in endpoints),
        input_modalities=_ordered(inputs),
        output_modalities=_ordered(outputs),
        supported_parameters=None if parameters is None else sorted(parameters),
        endpoints=endpoints,
    )


def _endpoint(
    offer: Offer, abilities: Abilities, policies: Mapping[str, DataPolicy], today: str
) -> Endpoint:
    """Fill in what the source of an offer does not say from what the model's family can do."""
    said = offer.endpoint
    inputs = said.input_modalities or abilities.input
    outputs = offer.output_modalities or abilities.output or ("text",)
    parameters = said.supported_parameters or abilities.parameters
    expires = offer.expires or retirement_of(said.provider, said.native)
    return replace(
        said,
        context_length=said.context_length or abilities.context,
        max_completion_tokens=said.max_completion_tokens or abilities.max_output,
        input_modalities=None if inputs is None else frozenset(inputs),
        output_modalities=frozenset(outputs),
        supported_parameters=None if parameters is None else _supported(said.provider, parameters),
        data_policy=policies.get(said.provider, said.data_policy),
        interface=interface_of(said.provider, said.native) or abilities.interface or said.interface,
        expires=expires,
        retired=bool(offer.deprecated) if expires is None else expires <= today,
    )


def _supported(provider: str, parameters: Iterable[str]) -> frozenset[str]:
    """Return a model's parameters, and those that its host supports for every model."""
    host = vendors().get(provider)
    return frozenset(parameters) | frozenset(host.parameters if host else ())


def _ordered(modalities: Iterable[str]) -> list[str]:
    return sorted(
        modalities, key=lambda each: (ORDER.index(each) if each in ORDER else len(ORDER), each)
    )


def _first(values: Iterable[Some | None]) -> Some | None:
    """Return the first that says something."""
    return next((each for each in values if each), None)


LOOK_SECONDS = 2.0
GRID_MS = 30 * 60 * 1000

log = structlog.get_logger()


class LiveCatalog:
    """`current` is the catalog as it is now; who keeps it keeps that moment's."""

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
        self._service = Service("catalog", LOOK_SECONDS, self._reload)
        self._local: Sequence[Offer] = ()
        self._seen = database.read_now(imports.version), self._slot()
        self.current = self._load()

    def start(self) -> None:
        self._service.start()

    async def close(self) -> None:
        await self._service.stop()

    async def refresh(self) -> bool:
        """Load again if something has changed; return whether it had."""
        seen = await self._database.read(imports.version), self._slot()
        if seen == self._seen:
            return False
        self.current = await asyncio.to_thread(self._load)
        self._seen = seen
        return True

    async def list_local(self, offers: Sequence[Offer]) -> None:
        """Add the models that servers of one's own list, in place of those listed before."""
        if offers != self._local:
            self._local = offers
            self.current = await asyncio.to_thread(self._load)

    def _load(self) -> Catalog:
        now = self._clock()
        offers = self._database.read_now(imports.offers, now)
        moment = datetime.fromtimestamp(now / 1000, UTC)
        listed = chain(offers, self._local)
        return load(self._settings, self._providers, listed, now=moment)

    def _slot(self) -> int:
        return self._clock() // GRID_MS

    async def _reload(self) -> None:
        if await self.refresh():
            log.info("catalog.loaded", models=len(self.current.models))
