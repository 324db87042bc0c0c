"""Routes of models that make images."""

from dataclasses import replace

from fastapi import APIRouter
from starlette.responses import Response

from api.core.bodies import KEY_OPTIONAL, Route
from api.core.dependencies import ServicesDep
from api.core.errors import json_response
from api.core.services import Services
from api.models.image_schemas import ImageModelEndpoints, ImageModelList
from api.models.image_views import render_image_endpoints, render_image_model
from api.models.routes import Author, CallerCatalogDep, Slug, find_provider_names
from broker.catalog.selection import sort_models
from broker.errors import NotFoundError
from broker.requests.operations import Operation, gives

router = APIRouter(route_class=Route, tags=["models"])


@router.get("/images/models", response_model=ImageModelList, openapi_extra=KEY_OPTIONAL)
async def list_image_models(services: ServicesDep, reachable: CallerCatalogDep) -> Response:
    """List the models that make images, with the options that each takes."""
    wires = _find_wires(services)
    found = [
        render_image_model(entry, wires)
        for entry in sort_models(reachable.models.values(), None)
        if gives(entry.output_modalities, Operation.IMAGES)
    ]
    return json_response({"data": found})


@router.get(
    "/images/models/{author}/{slug:path}/endpoints",
    response_model=ImageModelEndpoints,
    openapi_extra=KEY_OPTIONAL,
)
async def list_image_endpoints(
    services: ServicesDep, reachable: CallerCatalogDep, author: Author, slug: Slug
) -> Response:
    """List the endpoints of a model that makes images, with their options and prices."""
    entry = services.catalog.find(f"{author}/{slug}")
    if not gives(entry.output_modalities, Operation.IMAGES):
        raise NotFoundError(
            f"{entry.slug} makes no images. GET /api/v1/images/models lists the models that do."
        )
    served = reachable.models.get(entry.slug, replace(entry, endpoints=()))
    names, wires = find_provider_names(services), _find_wires(services)
    return json_response(render_image_endpoints(served, names, wires))


def _find_wires(services: Services) -> dict[str, str]:
    """Return the wires of the configured providers by slug."""
    return {slug: each.wire for slug, each in services.catalog.providers.items()}
