"""GET /models, /endpoints, /providers: the models served here, and the others that are known."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from api.core.bodies import KEY_OPTIONAL, Route
from api.core.dependencies import Caller, ServicesDep
from api.core.errors import json_response
from api.core.services import Services
from api.models import views
from api.models.schemas import ModelQuery
from broker.catalog import Model
from broker.catalog.selection import ListingFilter, ordered, selected
from broker.catalog.vendor_facts import pages_of
from broker.completion import Json
from broker.errors import AuthenticationError
from broker.providers.endpoints import Endpoint
from broker.providers.vendors import vendors
from broker.routing.preferences import Variant, split_variant

router = APIRouter(route_class=Route, tags=["models"])
OPENAI_FIELDS = ("id", "object", "created", "owned_by")
Author: TypeAlias = Annotated[str, Path(description="The part of a model's slug before the `/`.")]
Slug: TypeAlias = Annotated[
    str, Path(description="The part of a model's slug after the `/`, perhaps with a variant.")
]
Asked = Annotated[ModelQuery, Query()]


@dataclass(frozen=True, slots=True)
class Offer:
    """The models and providers that a caller can reach.

    These are the installation's, and those that provider keys of the caller's workspace add.
    """

    models: Mapping[str, Model]
    providers: Collection[str]


async def find_offer(request: Request, services: ServicesDep) -> Offer:
    """Return what the caller can reach. A key that is not valid adds nothing."""
    shared = Offer(services.catalog.models, services.catalog.providers.keys())
    try:
        principal = await services.keyring.principal(request)
    except AuthenticationError:
        return shared
    own = services.credentials.with_credentials(principal).own_keys
    if not own.by_provider:
        return shared
    served = {
        slug: replace(entry, endpoints=endpoints)
        for slug, entry in services.catalog.reachable(own.providers).items()
        if (endpoints := tuple(each for each in entry.endpoints if own.may_call(each)))
    }
    return Offer(served, services.catalog.providers.keys() | own.providers)


OfferDep: TypeAlias = Annotated[Offer, Depends(find_offer)]


@router.get("/models", openapi_extra=KEY_OPTIONAL)
async def list_models(
    request: Request, services: ServicesDep, offer: OfferDep, asked: Asked
) -> Response:
    """List the models that the configured providers serve, and those of the caller's own keys.

    `all=true` shows the others too. Nobody needs a key to look.
    """
    return _page(request, services, asked, asked.wanted(), offer)


@router.get("/models/count", openapi_extra=KEY_OPTIONAL)
async def count_models(services: ServicesDep, offer: OfferDep, asked: Asked) -> Response:
    """Count the models that `GET /models` would list, with the same filters."""
    found = _selected(services, asked, asked.wanted(), offer)
    return json_response({"data": {"count": len(found)}})


@router.get("/models/user")
async def list_usable_models(
    request: Request,
    services: ServicesDep,
    principal: Caller,
    offer: OfferDep,
    asked: Asked,
) -> Response:
    """List the models that the caller's key may use."""
    wanted = replace(asked.wanted(), allowed=principal.allowed_models)
    if principal.allowed_providers is not None:
        allowed = wanted.providers & principal.allowed_providers
        wanted = replace(wanted, providers=allowed or principal.allowed_providers)
    return _page(request, services, asked, wanted, offer)


@router.get("/embeddings/models", openapi_extra=KEY_OPTIONAL)
async def list_embedding_models(
    request: Request, services: ServicesDep, offer: OfferDep, asked: Asked
) -> Response:
    """List the models that turn texts into vectors, with the filters of `GET /models`."""
    wanted = replace(asked.wanted(), output_modalities=frozenset({"embeddings"}))
    return _page(request, services, asked, wanted, offer)


@router.get("/model/{author}/{slug:path}", openapi_extra=KEY_OPTIONAL)
async def get_model(services: ServicesDep, offer: OfferDep, author: Author, slug: Slug) -> Response:
    """Show one model, by any of its names, with or without a variant's suffix."""
    return json_response({"data": _shown(services, offer, f"{author}/{slug}")})


@router.get("/models/{author}/{slug:path}/endpoints", openapi_extra=KEY_OPTIONAL)
async def list_model_endpoints(
    services: ServicesDep,
    offer: OfferDep,
    author: Author,
    slug: Slug,
    show: Annotated[bool, Query(alias="all")] = False,
) -> Response:
    """List a model's endpoints at the configured providers; `all=true` adds all others.

    With `:free` after the name these are the endpoints that cost nothing.
    """
    name = f"{author}/{slug}"
    entry = services.catalog.find(name)
    served = offer.models.get(entry.slug, replace(entry, endpoints=()))
    shown = entry if show else served
    endpoints = _of_variant(name, entry, shown.endpoints)
    listed = _endpoints(services, offer, shown, endpoints)
    return json_response({"data": views.model_with_endpoints(entry, listed)})


@router.get("/models/{author}/{slug:path}", openapi_extra=KEY_OPTIONAL)
async def get_listed_model(
    services: ServicesDep, offer: OfferDep, author: Author, slug: Slug
) -> Response:
    """Show one model as `GET /model/{author}/{slug}` does, and as OpenAI's SDKs read it."""
    return _for_openai(_shown(services, offer, f"{author}/{slug}"))


@router.get("/models/{name}", include_in_schema=False)
async def get_model_by_bare_name(services: ServicesDep, offer: OfferDep, name: str) -> Response:
    """Show one model by a name without its author, as OpenAI's SDKs ask for it."""
    return _for_openai(_shown(services, offer, name))


@router.get("/endpoints/zdr", openapi_extra=KEY_OPTIONAL)
async def list_zdr_endpoints(services: ServicesDep, offer: OfferDep) -> Response:
    """List the endpoints that keep nothing of what they are sent."""
    found: list[Json] = []
    for entry in ordered(offer.models.values(), None):
        keeping_nothing = [each for each in entry.endpoints if each.data_policy.zdr]
        found += _endpoints(services, offer, entry, keeping_nothing)
    return json_response({"data": found})


@router.get("/providers", openapi_extra=KEY_OPTIONAL)
async def list_providers(
    services: ServicesDep, offer: OfferDep, show: Annotated[bool, Query(alias="all")] = False
) -> Response:
    """List the configured providers; `all=true` adds all that Waybill knows."""
    names = _names(services)
    snapshot = services.observer.snapshot
    slugs = sorted(names if show else offer.providers)
    shown = [
        views.provider(
            slug, names[slug], pages_of(slug), snapshot, available=slug in offer.providers
        )
        for slug in slugs
    ]
    return json_response({"data": shown})


def _shown(services: Services, offer: Offer, name: str) -> Json:
    """Return a model as it is shown. Raises UnknownModelError with the nearest names."""
    entry = services.catalog.find(name)
    offered = offer.models.get(entry.slug)
    shown = views.model(offered or entry, available=offered is not None)
    if entry.slug != name:
        shown["alias_target"] = {"slug": entry.slug, "name": entry.name}
    return shown


def _for_openai(shown: Json) -> Response:
    """Answer with a model in OpenRouter's envelope, beside the fields of OpenAI's object."""
    return json_response({field: shown[field] for field in OPENAI_FIELDS} | {"data": shown})


def _page(
    request: Request, services: Services, asked: ModelQuery, wanted: ListingFilter, offer: Offer
) -> Response:
    found = ordered(
        _selected(services, asked, wanted, offer), asked.sort, services.observer.snapshot
    )
    end = None if asked.limit is None else asked.offset + asked.limit
    page = found[asked.offset : end]
    following = None
    if end is not None and end < len(found):
        query = request.url.include_query_params(offset=end).query
        following = f"{request.url.path}?{query}"  # the Host header is the caller's
    available = offer.models
    return json_response(
        {
            "object": "list",
            "data": [views.model(entry, available=entry.slug in available) for entry in page],
            "total_count": len(found),
            "links": {"next": following},
        }
    )


def _selected(
    services: Services, asked: ModelQuery, wanted: ListingFilter, offer: Offer
) -> list[Model]:
    shown = services.catalog.everything if asked.all else offer.models
    return selected(shown.values(), wanted, names=_names(services), now=int(time.time()))


def _of_variant(name: str, entry: Model, endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
    """Return the endpoints that a name's suffix leaves, if it is not part of the model's name."""
    is_free = name != entry.slug and split_variant(name)[1] is Variant.FREE
    return [each for each in endpoints if each.price.is_free or not is_free]


def _endpoints(
    services: Services, offer: Offer, entry: Model, endpoints: Iterable[Endpoint]
) -> list[Json]:
    names = _names(services)
    return [
        views.endpoint(
            entry,
            each,
            names.get(each.provider, each.provider),
            services.observer.snapshot,
            available=each.provider in offer.providers,
        )
        for each in endpoints
    ]


def _names(services: Services) -> dict[str, str]:
    """Return display names by slug, of all vendors and of what else is configured."""
    known = {vendor.slug: vendor.name for vendor in vendors().values()}
    return known | {slug: each.name for slug, each in services.catalog.providers.items()}
