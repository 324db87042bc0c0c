"""Routes of models and endpoints: those served here, and all others that are known."""

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
from api.models.response_schemas import (
    ModelAnswer,
    ModelCount,
    ModelEndpointList,
    ModelEndpointsAnswer,
    ModelPage,
    OpenAiModelAnswer,
)
from api.models.schemas import ModelQuery
from broker.catalog import Model
from broker.catalog.selection import ListingFilter, select_models, sort_models
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
QueryDep: TypeAlias = Annotated[ModelQuery, Query()]
ShowAll: TypeAlias = Annotated[
    bool, Query(alias="all", description="Whether to list those that are not configured, too.")
]


@dataclass(frozen=True, slots=True)
class CallerCatalog:
    """The models and providers that a caller can reach.

    These are the installation's, and those that provider keys of the caller's workspace add.
    """

    models: Mapping[str, Model]
    providers: Collection[str]


async def find_caller_catalog(request: Request, services: ServicesDep) -> CallerCatalog:
    """Return what the caller can reach. A key that is not valid adds nothing."""
    shared = CallerCatalog(services.catalog.models, services.catalog.providers.keys())
    try:
        principal = await services.keyring.principal(request)
    except AuthenticationError:
        return shared
    own = services.credentials.with_credentials(principal).own_keys
    if not own.by_provider:
        return shared
    served = {
        slug: replace(entry, endpoints=endpoints)
        for slug, entry in services.catalog.list_reachable(own.providers).items()
        if (endpoints := tuple(each for each in entry.endpoints if own.may_call(each)))
    }
    return CallerCatalog(served, services.catalog.providers.keys() | own.providers)


CallerCatalogDep: TypeAlias = Annotated[CallerCatalog, Depends(find_caller_catalog)]


@router.get("/models", response_model=ModelPage, openapi_extra=KEY_OPTIONAL)
async def list_models(
    request: Request, services: ServicesDep, reachable: CallerCatalogDep, query: QueryDep
) -> Response:
    """List the models that the configured providers serve, and those of the caller's own keys.

    `all=true` lists all other known models, too. No key is needed.
    """
    return _page_response(request, services, query, query.listing_filter(), reachable)


@router.get("/models/count", response_model=ModelCount, openapi_extra=KEY_OPTIONAL)
async def count_models(
    services: ServicesDep, reachable: CallerCatalogDep, query: QueryDep
) -> Response:
    """Count the models that `GET /models` would list, with the same filters."""
    found = _select_models(services, query, query.listing_filter(), reachable)
    return json_response({"data": {"count": len(found)}})


@router.get("/models/user", response_model=ModelPage)
async def list_usable_models(
    request: Request,
    services: ServicesDep,
    principal: Caller,
    reachable: CallerCatalogDep,
    query: QueryDep,
) -> Response:
    """List the models that the caller's key may use."""
    filters = replace(query.listing_filter(), allowed=principal.allowed_models)
    if principal.allowed_providers is not None:
        allowed = filters.providers & principal.allowed_providers
        filters = replace(filters, providers=allowed or principal.allowed_providers)
    return _page_response(request, services, query, filters, reachable)


@router.get("/embeddings/models", response_model=ModelPage, openapi_extra=KEY_OPTIONAL)
async def list_embedding_models(
    request: Request, services: ServicesDep, reachable: CallerCatalogDep, query: QueryDep
) -> Response:
    """List the models that turn texts into vectors, with the filters of `GET /models`."""
    filters = replace(query.listing_filter(), output_modalities=frozenset({"embeddings"}))
    return _page_response(request, services, query, filters, reachable)


@router.get("/model/{author}/{slug:path}", response_model=ModelAnswer, openapi_extra=KEY_OPTIONAL)
async def get_model(
    services: ServicesDep, reachable: CallerCatalogDep, author: Author, slug: Slug
) -> Response:
    """Return one model, by any of its names, with or without a variant's suffix."""
    return json_response({"data": _render_model(services, reachable, f"{author}/{slug}")})


@router.get(
    "/models/{author}/{slug:path}/endpoints",
    response_model=ModelEndpointsAnswer,
    openapi_extra=KEY_OPTIONAL,
)
async def list_model_endpoints(
    services: ServicesDep,
    reachable: CallerCatalogDep,
    author: Author,
    slug: Slug,
    show: ShowAll = False,
) -> Response:
    """List a model's endpoints at the configured providers; `all=true` adds all others.

    With `:free` after the slug, only the endpoints that cost nothing are listed.
    """
    name = f"{author}/{slug}"
    entry = services.catalog.find(name)
    served = reachable.models.get(entry.slug, replace(entry, endpoints=()))
    shown = entry if show else served
    endpoints = _keep_variant(name, entry, shown.endpoints)
    listed = _render_endpoints(services, reachable, shown, endpoints)
    return json_response({"data": views.render_model_with_endpoints(entry, listed)})


@router.get(
    "/models/{author}/{slug:path}", response_model=OpenAiModelAnswer, openapi_extra=KEY_OPTIONAL
)
async def get_listed_model(
    services: ServicesDep, reachable: CallerCatalogDep, author: Author, slug: Slug
) -> Response:
    """Return one model as `GET /model/{author}/{slug}` does, with the fields of OpenAI's object."""
    return _openai_response(_render_model(services, reachable, f"{author}/{slug}"))


@router.get("/models/{name}", include_in_schema=False)
async def get_model_by_bare_name(
    services: ServicesDep, reachable: CallerCatalogDep, name: str
) -> Response:
    """Return one model by a name without its author, as OpenAI's SDKs request it."""
    return _openai_response(_render_model(services, reachable, name))


@router.get("/endpoints/zdr", response_model=ModelEndpointList, openapi_extra=KEY_OPTIONAL)
async def list_zdr_endpoints(services: ServicesDep, reachable: CallerCatalogDep) -> Response:
    """List the endpoints whose providers promise zero data retention (ZDR)."""
    found: list[Json] = []
    for entry in sort_models(reachable.models.values(), None):
        with_zdr = [each for each in entry.endpoints if each.data_policy.zdr]
        found += _render_endpoints(services, reachable, entry, with_zdr)
    return json_response({"data": found})


def _render_model(services: Services, reachable: CallerCatalog, name: str) -> Json:
    """Render a model. Raises UnknownModelError with the nearest names."""
    entry = services.catalog.find(name)
    served = reachable.models.get(entry.slug)
    shown = views.render_model(
        served or entry,
        services.catalog.list_operations(served or entry),
        available=served is not None,
    )
    if entry.slug != name:
        shown["alias_target"] = {"slug": entry.slug, "name": entry.name}
    return shown


def _openai_response(shown: Json) -> Response:
    """Return a model in OpenRouter's envelope, beside the fields of OpenAI's object."""
    return json_response({field: shown[field] for field in OPENAI_FIELDS} | {"data": shown})


def _page_response(
    request: Request,
    services: Services,
    query: ModelQuery,
    filters: ListingFilter,
    reachable: CallerCatalog,
) -> Response:
    found = sort_models(
        _select_models(services, query, filters, reachable), query.sort, services.observer.snapshot
    )
    end = None if query.limit is None else query.offset + query.limit
    page = found[query.offset : end]
    following = None
    if end is not None and end < len(found):
        changed = request.url.include_query_params(offset=end)
        following = f"{request.url.path}?{changed.query}"  # the Host header is the caller's
    available = reachable.models
    return json_response(
        {
            "object": "list",
            "data": [
                views.render_model(
                    entry,
                    services.catalog.list_operations(entry),
                    available=entry.slug in available,
                )
                for entry in page
            ],
            "total_count": len(found),
            "links": {"next": following},
        }
    )


def _select_models(
    services: Services, query: ModelQuery, filters: ListingFilter, reachable: CallerCatalog
) -> list[Model]:
    shown = services.catalog.all_models if query.all else reachable.models
    return select_models(
        shown.values(), filters, names=find_provider_names(services), now=int(time.time())
    )


def _keep_variant(name: str, entry: Model, endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
    """Return the endpoints that a name's suffix leaves, if it is not part of the model's name."""
    is_free = name != entry.slug and split_variant(name)[1] is Variant.FREE
    return [each for each in endpoints if each.price.is_free or not is_free]


def _render_endpoints(
    services: Services, reachable: CallerCatalog, entry: Model, endpoints: Iterable[Endpoint]
) -> list[Json]:
    names = find_provider_names(services)
    return [
        views.render_endpoint(
            entry,
            each,
            names.get(each.provider, each.provider),
            services.observer.snapshot,
            available=each.provider in reachable.providers,
        )
        for each in endpoints
    ]


def find_provider_names(services: Services) -> dict[str, str]:
    """Return display names by slug, of all vendors and of what else is configured."""
    known = {vendor.slug: vendor.name for vendor in vendors().values()}
    return known | {slug: each.name for slug, each in services.catalog.providers.items()}
