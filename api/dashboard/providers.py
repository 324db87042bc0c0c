"""Providers: their state now, and for operators their configuration and pauses."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.dashboard.core.api_client import ApiClient, ApiDep, ApiRefusalError, Query
from api.dashboard.core.pages import PageRoute, Values, redirect_with_notice, render_live
from api.dashboard.core.visitors import VisitorDep
from api.jobs.response_schemas import Job, QueueList, QueueState
from api.models.response_schemas import (
    ConfiguredProvider,
    ConfiguredProviderList,
    ListedProvider,
    ModelPage,
    ProviderList,
)
from api.monitoring.response_schemas import Health, OpenCircuit
from api.pages.page import read_form
from broker.completion import Json
from broker.values import immutable

router = APIRouter(route_class=PageRoute, prefix="/w/{workspace}/providers")
TEST_PROMPT = "Answer with the word: ok"
TEST_TOKENS = 16
"""The most tokens of the answer to a test call."""


@immutable
class ShownProvider:
    """A provider with what is known about it now."""

    listed: ListedProvider
    configured: ConfiguredProvider | None  # None: it is not for this visitor
    circuits: Sequence[OpenCircuit]
    queues: Sequence[QueueState]

    @property
    def waiting(self) -> int:
        """Return the number of jobs that may run, and have not started."""
        return sum(each.waiting for each in self.queues)

    @property
    def running(self) -> int:
        """Return the number of jobs that a worker runs."""
        return sum(each.running for each in self.queues)

    @property
    def oldest_seconds(self) -> float | None:
        """Return the time for which the oldest waiting job waits; None if none waits."""
        return max((each.oldest_seconds for each in self.queues if each.waiting), default=None)

    @property
    def has_refused_key(self) -> bool:
        """Return whether the provider refused the key, so that none of its models is called."""
        return any(each.model is None for each in self.circuits)


@router.get("")
async def list_providers(request: Request, visitor: VisitorDep, api: ApiDep) -> Response:
    """Show the providers that can be called, and to operators what the others lack."""

    async def load() -> Values:
        known = await api.find("/providers/configuration", ConfiguredProviderList, {"all": True})
        others = [each for each in known.data if not each.is_configured] if known else []
        return {"providers": await _load_providers(api), "others": others}

    return await render_live(request, visitor, "providers.html", load)


@router.get("/{slug}")
async def show_provider(request: Request, visitor: VisitorDep, api: ApiDep, slug: str) -> Response:
    """Show one provider with its limits, queues, circuits and pauses."""

    async def load() -> Values:
        for each in await _load_providers(api):
            if each.listed.slug == slug:
                models = await api.get("/models", ModelPage, _query_models(slug, 1))
                return {"provider": each, "models": models.total_count}
        raise ApiRefusalError(404, f"There is no provider {slug!r} that can be called here.")

    return await render_live(request, visitor, "provider.html", load)


@router.post("/{slug}/pause")
async def pause_provider(request: Request, visitor: VisitorDep, api: ApiDep, slug: str) -> Response:
    """Stop all calls to a provider."""
    form = await read_form(request)
    body: Json = {"reason": form.get("reason") or None}
    await api.change("POST", f"/providers/{slug}/pause", body)
    notice = f"{slug} is paused. Calls that have begun end normally."
    return redirect_with_notice(request, f"{visitor.root}/providers/{slug}", notice)


@router.post("/{slug}/resume")
async def resume_provider(
    request: Request, visitor: VisitorDep, api: ApiDep, slug: str
) -> Response:
    """Let calls to a provider go again."""
    await read_form(request)
    await api.change("POST", f"/providers/{slug}/resume")
    path = f"{visitor.root}/providers/{slug}"
    return redirect_with_notice(request, path, f"{slug} is called again.")


@router.post("/{slug}/test")
async def test_provider(request: Request, visitor: VisitorDep, api: ApiDep, slug: str) -> Response:
    """Send a short prompt to the cheapest model of a provider, as a job of the visitor."""
    await read_form(request)
    found = await api.get("/models", ModelPage, _query_models(slug, 1000))
    chats = [each for each in found.data if "text" in each.architecture.output_modalities]
    if not chats:
        raise ApiRefusalError(400, f"No model of {slug} in the catalog answers with text.")
    cheapest = min(chats, key=lambda each: (float(each.pricing.completion), each.id))
    body: Json = {
        "model": cheapest.id,
        "messages": [{"role": "user", "content": TEST_PROMPT}],
        "max_tokens": TEST_TOKENS,
        "provider": {"only": [slug]},
    }
    job = await api.send("POST", "/jobs", Job, {"body": body})
    notice = f"This job is the test call of {cheapest.id} at {slug}."
    return redirect_with_notice(request, f"{visitor.root}/jobs/{job.id}", notice)


def _query_models(slug: str, limit: int) -> Query:
    return {"providers": slug, "output_modalities": "all", "limit": limit}


async def _load_providers(api: ApiClient) -> Sequence[ShownProvider]:
    """Return the providers that can be called."""
    listed, health, queues, known = await asyncio.gather(
        api.get("/providers", ProviderList),
        api.get_unprefixed("/health", Health),
        api.get("/queues", QueueList),
        api.find("/providers/configuration", ConfiguredProviderList),
    )
    configured = {each.slug: each for each in (known.data if known else ())}
    circuits, waiting = defaultdict(list), defaultdict(list)
    for circuit in health.providers:
        circuits[circuit.provider].append(circuit)
    for queue in queues.data:
        waiting[queue.provider].append(queue)
    return [
        ShownProvider(each, configured.get(each.slug), circuits[each.slug], waiting[each.slug])
        for each in listed.data
    ]
