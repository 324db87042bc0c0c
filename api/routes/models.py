"""GET /models, /endpoints, /providers: what can be asked for here, and what else there is."""

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api import model_views as views
from api.errors import json_response
from api.schemas.models import ModelQuery
from api.services import Services, services
from broker.catalog import Model
from broker.catalog.policies import pages_of
from broker.catalog.selection import Wanted, ordered, selected
from broker.completion import Json
from broker.routing import Endpoint
from broker.vendors import vendors

router = APIRouter(tags=["models"])
Asked = Annotated[ModelQuery, Query()]


@router.get("/models")
async def list_models(request: Request, asked: Asked) -> Response:
    """List the models that the configured providers serve; `all=true` shows the others too."""
    return _page(request, asked, asked.wanted())


@router.get("/models/count")
async def count_models(request: Request, asked: Asked) -> Response:
    found = _selected(services(request), asked, asked.wanted())
    return json_response({"data": {"count": len(found)}})


@router.get("/models/user")
async def list_own_models(request: Request, asked: Asked) -> Response:
    """List the models that the caller's key may use."""
    principal = await services(request).keyring.principal(request)
    wanted = replace(asked.wanted(), allowed=principal.allowed_models)
    if principal.allowed_providers is not None:
        allowed = wanted.providers & principal.allowed_providers
        wanted = replace(wanted, providers=allowed or principal.allowed_providers)
    return _page(request, asked, wanted)


@router.get("/embeddings/models")
async def list_embedding_models(request: Request, asked: Asked) -> Response:
    return _page(
        request, asked, replace(asked.wanted(), output_modalities=frozenset({"embeddings"}))
    )


@router.get("/model/{author}/{slug:path}")
async def get_model(request: Request, author: str, slug: str) -> Response:
    """Show one model, by any of its names."""
    hands = services(request)
    name = f"{author}/{slug}"
    entry = hands.catalog.find(name)
    shown = views.model(entry, available=entry.slug in hands.catalog.models)
    if entry.slug != name:
        shown["alias_target"] = {"slug": entry.slug, "name": entry.name}
    return json_response({"data": shown})


@router.get("/models/{author}/{slug:path}/endpoints")
async def list_endpoints(
    request: Request, author: str, slug: str, show: Annotated[bool, Query(alias="all")] = False
) -> Response:
    """List a model's endpoints at the configured providers; `all=true` adds all others."""
    hands = services(request)
    entry = hands.catalog.find(f"{author}/{slug}")
    served = hands.catalog.models.get(entry.slug, replace(entry, endpoints=()))
    shown = entry if show else served
    return json_response(
        {"data": views.model_with_endpoints(entry, _endpoints(hands, shown, shown.endpoints))}
    )


@router.get("/endpoints/zdr")
async def list_zdr_endpoints(request: Request) -> Response:
    """List the endpoints that keep nothing of what they are sent."""
    hands = services(request)
    return json_response(
        {
            "data": [
                shown
                for entry in ordered(hands.catalog.models.values(), None)
                for shown in _endpoints(
                    hands, entry, [each for each in entry.endpoints if each.data_policy.zdr]
                )
            ]
        }
    )


@router.get("/providers")
async def list_providers(
    request: Request, show: Annotated[bool, Query(alias="all")] = False
) -> Response:
    """List the configured providers; `all=true` adds all that Waybill knows."""
    hands = services(request)
    names = _names(hands)
    slugs = sorted(names if show else hands.catalog.providers)
    shown = [
        views.provider(slug, names[slug], pages_of(slug), available=slug in hands.catalog.providers)
        for slug in slugs
    ]
    return json_response({"data": shown})


def _page(request: Request, asked: ModelQuery, wanted: Wanted) -> Response:
    hands = services(request)
    found = ordered(_selected(hands, asked, wanted), asked.sort, hands.observer.snapshot)
    end = None if asked.limit is None else asked.offset + asked.limit
    page = found[asked.offset : end]
    following = None
    if end is not None and end < len(found):
        following = str(request.url.include_query_params(offset=end))
    available = hands.catalog.models
    return json_response(
        {
            "object": "list",
            "data": [views.model(entry, available=entry.slug in available) for entry in page],
            "total_count": len(found),
            "links": {"next": following},
        }
    )


def _selected(hands: Services, asked: ModelQuery, wanted: Wanted) -> list[Model]:
    catalog = hands.catalog
    shown = catalog.everything if asked.all else catalog.models
    return selected(shown.values(), wanted, names=_names(hands), now=int(time.time()))


def _endpoints(hands: Services, entry: Model, endpoints: Iterable[Endpoint]) -> list[Json]:
    names = _names(hands)
    return [
        views.endpoint(
            entry,
            each,
            names.get(each.provider, each.provider),
            hands.observer.snapshot,
            available=each.provider in hands.catalog.providers,
        )
        for each in endpoints
    ]


def _names(hands: Services) -> dict[str, str]:
    """Return display names by slug, of all vendors and of what else is configured."""
    known = {vendor.slug: vendor.name for vendor in vendors().values()}
    return known | {slug: each.name for slug, each in hands.catalog.providers.items()}
