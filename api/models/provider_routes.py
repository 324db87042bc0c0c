"""Routes of providers: those that can be called; for operators their configuration and pauses."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from api.core.bodies import KEY_OPTIONAL, Route
from api.core.dependencies import CallingActor, ServicesDep, require_operator
from api.core.errors import json_response
from api.core.services import Services
from api.models import views
from api.models.response_schemas import (
    ConfiguredProviderAnswer,
    ConfiguredProviderList,
    ProviderList,
)
from api.models.routes import CallerCatalogDep, ShowAll, find_provider_names
from api.models.schemas import PauseBody
from broker.accounts import Principal
from broker.administration import carry_out
from broker.administration import providers as administration
from broker.catalog.vendor_facts import find_pages
from broker.completion import Json
from broker.errors import NotFoundError
from broker.providers.pauses import read_pauses
from broker.providers.states import ProviderState, list_states

router = APIRouter(route_class=Route, prefix="/providers", tags=["models"])
ProvidersOperator: TypeAlias = Annotated[
    Principal, Depends(require_operator("administers providers"))
]
ProviderSlug: TypeAlias = Annotated[str, Path(alias="slug", description="The slug of a provider.")]


@router.get("", response_model=ProviderList, openapi_extra=KEY_OPTIONAL)
async def list_providers(
    services: ServicesDep, reachable: CallerCatalogDep, show: ShowAll = False
) -> Response:
    """List the configured providers; `all=true` adds all that Waybill knows."""
    names = find_provider_names(services)
    snapshot = services.observer.snapshot
    paused = {row.provider for row in await services.database.read(read_pauses)}
    slugs = sorted(names if show else reachable.providers)
    shown = [
        views.render_provider(
            slug,
            names[slug],
            find_pages(slug),
            snapshot,
            paused=slug in paused,
            available=slug in reachable.providers,
        )
        for slug in slugs
    ]
    return json_response({"data": shown})


@router.get("/configuration", response_model=ConfiguredProviderList)
async def list_configured_providers(
    services: ServicesDep, _: ProvidersOperator, show: ShowAll = False
) -> Response:
    """List the providers with their limits and pauses, and what those lack that cannot be called.

    `all=true` adds the known providers without any key.
    """
    states = await _read_states(services)
    shown = [each for each in states if show or each.is_configured or each.has_key]
    return json_response({"data": _render_states(services, shown)})


@router.post("/{slug}/pause", response_model=ConfiguredProviderAnswer)
async def pause_provider(
    services: ServicesDep,
    _: ProvidersOperator,
    actor: CallingActor,
    body: PauseBody,
    slug: ProviderSlug,
) -> Response:
    """Stop all calls to a provider, in every process, within a second.

    Calls that have begun end normally. Its jobs wait, or go to another endpoint of their plan. The
    pause of a paused provider stays as it is.
    """
    _require_configured(services, slug)
    await carry_out(
        services.database,
        lambda connection: administration.pause(connection, actor, slug, body.reason),
    )
    return await _answer(services, slug)


@router.post("/{slug}/resume", response_model=ConfiguredProviderAnswer)
async def resume_provider(
    services: ServicesDep, _: ProvidersOperator, actor: CallingActor, slug: ProviderSlug
) -> Response:
    """Let calls to a paused provider go again. Without a pause it changes nothing."""
    _require_configured(services, slug)
    await carry_out(
        services.database, lambda connection: administration.resume(connection, actor, slug)
    )
    return await _answer(services, slug)


def _require_configured(services: Services, slug: str) -> None:
    known = services.catalog.providers
    if slug not in known:
        raise NotFoundError(
            f"There is no provider {slug!r} here: the providers are {', '.join(known)}.",
            param="slug",
        )


async def _answer(services: Services, slug: str) -> Response:
    found = [each for each in await _read_states(services) if each.slug == slug]
    return json_response({"data": _render_states(services, found)[0]})


async def _read_states(services: Services) -> list[ProviderState]:
    pauses = await services.database.read(read_pauses)
    return list_states(services.settings, services.catalog.providers, pauses)


def _render_states(services: Services, states: Iterable[ProviderState]) -> list[Json]:
    models = services.catalog.models.values()
    served = Counter(each.provider for model in models for each in model.endpoints)
    return [views.render_provider_state(each, served[each.slug]) for each in states]
