"""GET /models, /endpoints, /providers: the models served here, and the others that are known."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.core.errors import json_response
from api.core.openapi_bodies import KEY_OPTIONAL
from api.core.services import Services, services_of
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

router = APIRouter(tags=["models"])
OPENAI_FIELDS = ("id", "object", "created", "owned_by")
Asked = Annotated[ModelQuery, Query()]


@router.get("/models", openapi_extra=KEY_OPTIONAL)
async def list_models(request: Request, asked: Asked) -> Response:
    """List the models that the configured providers serve, and those of the caller's own keys.

    `all=true` shows the others too. Nobody needs a key to look.
    """
    return _page(request, asked, asked.wanted(), await _offer(request))


@router.get("/models/count", openapi_extra=KEY_OPTIONAL)
async def count_models(request: Request, asked: Asked) -> Response:
    """Count the models that `GET /models` would list, with the same filters."""
    offer = await _offer(request)
    found = _selected(services_of(request), asked, asked.wanted(), offer)
    return json_response({"data": {"count": len(found)}})


@router.get("/models/user")
async def list_usable_models(request: Request, asked: Asked) -> Response:
    """List the models that the caller's key may use."""
    principal = await services_of(request).keyring.principal(request)
    wanted = replace(asked.wanted(), allowed=principal.allowed_models)
    if principal.allowed_providers is not None:
        allowed = wanted.providers & principal.allowed_providers
        wanted = replace(wanted, providers=allowed or principal.allowed_providers)
    return _page(request, asked, wanted, await _offer(request))


@router.get("/embeddings/models", openapi_extra=KEY_OPTIONAL)
async def list_embedding_models(request: Request, asked: Asked) -> Response:
    """List the models that turn texts into vectors, with the filters of `GET /models`."""
    wanted = replace(asked.wanted(), output_modalities=frozenset({"embeddings"}))
    return _page(request, asked, wanted, await _offer(request))


@router.get("/model/{author}/{slug:path}", openapi_extra=KEY_OPTIONAL)
async def get_model(request: Request, author: str, slug: str) -> Response:
    """Show one model, by any of its names, with or without a variant's suffix."""
    return json_response({"data": await _shown(request, f"{author}/{slug}")})


@router.get("/models/{author}/{slug:path}/endpoints", openapi_extra=KEY_OPTIONAL)
async def list_model_endpoints(
    request: Request, author: str, slug: str, show: Annotated[bool, Query(alias="all")] = False
) -> Response:
    """List a model's endpoints at the configured providers; `all=true` adds all others.

    With `:free` after the name these are the endpoints that cost nothing.
    """
    services, name = services_of(request), f"{author}/{slug}"
    entry = services.catalog.find(name)
    offer = await _offer(request)
    served = offer.models.get(entry.slug, replace(entry, endpoints=()))
    shown = entry if show else served
    endpoints = _of_variant(name, entry, shown.endpoints)
    listed = _endpoints(services, offer, shown, endpoints)
    return json_response({"data": views.model_with_endpoints(entry, listed)})


@router.get("/models/{author}/{slug:path}", openapi_extra=KEY_OPTIONAL)
async def get_listed_model(request: Request, author: str, slug: str) -> Response:
    """Show one model as `GET /model/{author}/{slug}` does, and as OpenAI's SDKs read it."""
    return _for_openai(await _shown(request, f"{author}/{slug}"))


@router.get("/models/{name}", include_in_schema=False)
async def get_model_by_bare_name(request: Request, name: str) -> Response:
    """Show one model by a name without its author, as OpenAI's SDKs ask for it."""
    return _for_openai(await _shown(request, name))


@router.get("/endpoints/zdr", openapi_extra=KEY_OPTIONAL)
async def list_zdr_endpoints(request: Request) -> Response:
    """List the endpoints that keep nothing of what they are sent."""
    services, offer = services_of(request), await _offer(request)
    found: list[Json] = []
    for entry in ordered(offer.models.values(), None):
        keeping_nothing = [each for each in entry.endpoints if each.data_policy.zdr]
        found += _endpoints(services, offer, entry, keeping_nothing)
    return json_response({"data": found})


@router.get("/providers", openapi_extra=KEY_OPTIONAL)
async def list_providers(
    request: Request, show: Annotated[bool, Query(alias="all")] = False
) -> Response:
    """List the configured providers; `all=true` adds all that Waybill knows."""
    services = services_of(request)
    names, offer = _names(services), await _offer(request)
    snapshot = services.observer.snapshot
    slugs = sorted(names if show else offer.providers)
    shown = [
        views.provider(
            slug, names[slug], pages_of(slug), snapshot, available=slug in offer.providers
        )
        for slug in slugs
    ]
    return json_response({"data": shown})


async def _shown(request: Request, name: str) -> Json:
    """Return a model as it is shown. Raises UnknownModelError with the nearest names."""
    entry = services_of(request).catalog.find(name)
    offered = (await _offer(request)).models.get(entry.slug)
    shown = views.model(offered or entry, available=offered is not None)
    if entry.slug != name:
        shown["alias_target"] = {"slug": entry.slug, "name": entry.name}
    return shown


def _for_openai(shown: Json) -> Response:
    """Answer with a model in OpenRouter's envelope, beside the fields of OpenAI's object."""
    return json_response({field: shown[field] for field in OPENAI_FIELDS} | {"data": shown})


@dataclass(frozen=True, slots=True)
class _Offer:
    """What a caller can be served: by the installation's keys, and by those of its workspace."""

    models: Mapping[str, Model]
    providers: Collection[str]


async def _offer(request: Request) -> _Offer:
    """Return what whoever asks can be served. A key that opens nothing brings nothing along."""
    services = services_of(request)
    shared = _Offer(services.catalog.models, services.catalog.providers.keys())
    try:
        principal = await services.keyring.principal(request)
    except AuthenticationError:
        return shared
    own = services.credentials.armed(principal).own_keys
    if not own.by_provider:
        return shared
    served = {
        slug: replace(entry, endpoints=endpoints)
        for slug, entry in services.catalog.reachable(own.providers).items()
        if (endpoints := tuple(each for each in entry.endpoints if own.may_call(each)))
    }
    return _Offer(served, services.catalog.providers.keys() | own.providers)


def _page(request: Request, asked: ModelQuery, wanted: ListingFilter, offer: _Offer) -> Response:
    services = services_of(request)
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
    services: Services, asked: ModelQuery, wanted: ListingFilter, offer: _Offer
) -> list[Model]:
    shown = services.catalog.everything if asked.all else offer.models
    return selected(shown.values(), wanted, names=_names(services), now=int(time.time()))


def _of_variant(name: str, entry: Model, endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
    """Return the endpoints that a name's suffix leaves, if it is not part of the model's name."""
    is_free = name != entry.slug and split_variant(name)[1] is Variant.FREE
    return [each for each in endpoints if each.price.is_free or not is_free]


def _endpoints(
    services: Services, offer: _Offer, entry: Model, endpoints: Iterable[Endpoint]
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
