"""Models, endpoints and providers in answers: OpenRouter's objects.

Shapes: openrouter.ai/docs/api-reference (models, endpoints, providers). Waybill adds `available`,
`data_policy` and `pause`.
"""

from collections.abc import Sequence
from dataclasses import asdict

from broker.catalog import Model
from broker.catalog.selection import find_lowest_price, find_tokenizer
from broker.catalog.vendor_facts import VendorPages
from broker.clock import moment, seconds
from broker.completion import Json
from broker.jobs.views import DIALECT_PATHS
from broker.pricing import render_prices
from broker.providers.endpoint_stats import Circuit, EndpointStats, Percentiles, Snapshot
from broker.providers.endpoints import Endpoint
from broker.providers.states import ProviderState
from broker.requests.operations import Operation

STATUS = {Circuit.CLOSED: 0, Circuit.HALF_OPEN: -1, Circuit.OPEN: -5}
"""OpenRouter's status of an endpoint: 0 is healthy; a lower number is worse."""
CHAT_DIALECTS = tuple(DIALECT_PATHS.values())
"""The other paths of a model that serves chats."""
TOOL_CHOICES = ("auto", "none", "required", "function")


def render_model(entry: Model, operations: Sequence[Operation], *, available: bool) -> Json:
    """Render a model for GET /models; prices are its cheapest endpoint's, in US dollars.

    `operations` are those that it serves. A chat may also be requested in other dialects.
    """
    limits = [each for each in entry.endpoints if each.context_length] or entry.endpoints
    longest = max(limits, key=lambda each: each.context_length or 0, default=None)
    return {
        "id": entry.slug,
        "canonical_slug": entry.slug,
        "name": entry.name,
        "object": "model",
        "owned_by": entry.slug.partition("/")[0],
        "created": entry.created,
        "description": entry.description,
        "context_length": entry.context_length,
        "architecture": _render_architecture(entry),
        "pricing": render_prices(find_lowest_price(entry)),
        "top_provider": {
            "context_length": longest.context_length if longest else entry.context_length,
            "max_completion_tokens": entry.max_completion_tokens
            or (longest.max_completion_tokens if longest else None),
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": list(entry.supported_parameters or ()),
        "supported_endpoints": [
            path
            for each in operations
            for path in (each.value, *(CHAT_DIALECTS if each is Operation.CHAT else ()))
        ],
        "default_parameters": None,
        "supported_voices": None,
        "knowledge_cutoff": entry.knowledge_cutoff,
        "expiration_date": entry.expires,
        "hugging_face_id": None,
        "links": {"details": f"/api/v1/models/{entry.slug}/endpoints"},
        "available": available,
    }


def render_model_with_endpoints(entry: Model, endpoints: list[Json]) -> Json:
    """Render a model for GET /models/{author}/{slug}/endpoints."""
    return {
        "id": entry.slug,
        "name": entry.name,
        "created": entry.created,
        "description": entry.description,
        "architecture": _render_architecture(entry),
        "endpoints": endpoints,
    }


def _render_architecture(entry: Model) -> Json:
    inputs, outputs = list(entry.input_modalities), list(entry.output_modalities)
    return {
        "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
        "input_modalities": inputs,
        "output_modalities": outputs,
        "tokenizer": find_tokenizer(entry),
        "instruct_type": None,
    }


def render_endpoint(
    entry: Model, each: Endpoint, provider: str, snapshot: Snapshot, *, available: bool
) -> Json:
    """Render an endpoint with its stats of 30 minutes; `provider` is its display name."""
    parameters = each.supported_parameters or frozenset(entry.supported_parameters or ())
    chooses = "tool_choice" in parameters or each.supported_parameters is None
    return {
        "name": f"{provider} | {entry.slug}",
        "tag": each.provider,
        "provider_name": provider,
        "model_id": entry.slug,
        "model_name": entry.name,
        "native_model": each.native,
        "context_length": each.context_length or entry.context_length or 0,
        "max_prompt_tokens": None,
        "max_completion_tokens": each.max_completion_tokens,
        "quantization": each.quantization or "unknown",
        "pricing": render_prices(each.price) | {"discount": 0.0},
        "supported_parameters": sorted(parameters),
        "supports_tool_choice": dict.fromkeys(TOOL_CHOICES, chooses),
        "supports_implicit_caching": each.price.cache_read is not None,
        "supports_diarization": False,
        "native_tools": {},
        "service_tier": None,
        **_render_stats(snapshot.find(each.provider, entry.slug)),
        "data_policy": asdict(each.data_policy),
        "available": available,
    }


def _render_stats(stats: EndpointStats) -> Json:
    """Render uptime in percent, milliseconds to the first token, output tokens per second."""
    return {
        "status": STATUS[stats.circuit],
        "uptime_last_5m": _to_percent(stats.uptime_5m),
        "uptime_last_30m": _to_percent(stats.uptime_30m),
        "uptime_last_1d": _to_percent(stats.uptime_1d),
        "pause": render_pause(stats),
        "latency_last_30m": _render_percentiles(stats.latency_30m, 1_000),
        "throughput_last_30m": _render_percentiles(stats.throughput_30m, 1),
    }


def render_pause(stats: EndpointStats) -> Json | None:
    """Render the pause of an endpoint, if there is one; its end in Unix seconds."""
    if stats.pause is None:
        return None
    return {"until": seconds(stats.pause.until), "reason": stats.pause.reason.value}


def _to_percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)


def _render_percentiles(known: Percentiles | None, scale: int) -> Json | None:
    if known is None:
        return None
    return {name: round(scale * value, 3) for name, value in asdict(known).items()}


def render_provider(
    slug: str, name: str, pages: VendorPages, snapshot: Snapshot, *, paused: bool, available: bool
) -> Json:
    """Render a provider for GET /providers; `pauses` are those of its models."""
    pauses = [
        {"model": model, **shown}
        for (owner, model), stats in sorted(snapshot.endpoints.items(), key=lambda each: each[0])
        if owner == slug and (shown := render_pause(stats)) is not None
    ]
    return {
        "name": name,
        "slug": slug,
        "privacy_policy_url": pages.privacy,
        "terms_of_service_url": pages.terms,
        "status_page_url": pages.status,
        "headquarters": pages.headquarters,
        "datacenters": list(pages.datacenters) if pages.datacenters else None,
        "pauses": pauses,
        "paused": paused,
        "available": available,
    }


def render_provider_state(state: ProviderState, endpoints: int) -> Json:
    """Render a provider for GET /providers/configuration, with the number of its models."""
    limits, pause = state.limits, state.pause
    return {
        "slug": state.slug,
        "name": state.name,
        "wire": state.wire,
        "base_url": state.base_url,
        "is_configured": state.is_configured,
        "problem": state.problem,
        "endpoints": endpoints,
        "max_concurrency": limits and limits.max_concurrency,
        "requests_per_minute": (limits and limits.requests_per_minute) or None,
        "tokens_per_minute": (limits and limits.tokens_per_minute) or None,
        "pause": pause
        and {
            "reason": pause.reason,
            "paused_by": pause.paused_by,
            "paused_at": moment(pause.paused_at),
        },
    }
