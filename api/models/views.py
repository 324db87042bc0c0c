"""Models, endpoints and providers as callers see them: OpenRouter's objects.

Shapes: openrouter.ai/docs/api-reference (models, endpoints, providers). Ours besides: `available`,
`data_policy`.
"""

from dataclasses import asdict

from broker.catalog import Model
from broker.catalog.selection import cheapest, tokenizer
from broker.catalog.vendor_facts import Pages
from broker.clock import seconds
from broker.completion import Json
from broker.pricing import render_prices
from broker.providers.endpoint_stats import Circuit, EndpointStats, Percentiles, Snapshot
from broker.providers.endpoints import Endpoint

STATUS = {Circuit.CLOSED: 0, Circuit.HALF_OPEN: -1, Circuit.OPEN: -5}
"""OpenRouter's endpoint status: 0 is well, less is worse."""
TOOL_CHOICES = ("auto", "none", "required", "function")


def model(entry: Model, *, available: bool) -> Json:
    """Render a model for GET /models; prices are its cheapest endpoint's, in US dollars."""
    limits = [each for each in entry.endpoints if each.context_length] or entry.endpoints
    roomiest = max(limits, key=lambda each: each.context_length or 0, default=None)
    return {
        "id": entry.slug,
        "canonical_slug": entry.slug,
        "name": entry.name,
        "object": "model",
        "owned_by": entry.slug.partition("/")[0],
        "created": entry.created,
        "description": entry.description,
        "context_length": entry.context_length,
        "architecture": _architecture(entry),
        "pricing": render_prices(cheapest(entry)),
        "top_provider": {
            "context_length": roomiest.context_length if roomiest else entry.context_length,
            "max_completion_tokens": entry.max_completion_tokens
            or (roomiest.max_completion_tokens if roomiest else None),
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": list(entry.supported_parameters or ()),
        "default_parameters": None,
        "supported_voices": None,
        "knowledge_cutoff": entry.knowledge_cutoff,
        "expiration_date": entry.expires,
        "hugging_face_id": None,
        "links": {"details": f"/api/v1/models/{entry.slug}/endpoints"},
        "available": available,
    }


def model_with_endpoints(entry: Model, endpoints: list[Json]) -> Json:
    """Render a model for GET /models/{author}/{slug}/endpoints."""
    return {
        "id": entry.slug,
        "name": entry.name,
        "created": entry.created,
        "description": entry.description,
        "architecture": _architecture(entry),
        "endpoints": endpoints,
    }


def _architecture(entry: Model) -> Json:
    inputs, outputs = list(entry.input_modalities), list(entry.output_modalities)
    return {
        "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
        "input_modalities": inputs,
        "output_modalities": outputs,
        "tokenizer": tokenizer(entry),
        "instruct_type": None,
    }


def endpoint(
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
        **_lately(snapshot.of(each.provider, entry.slug)),
        "data_policy": asdict(each.data_policy),
        "available": available,
    }


def _lately(stats: EndpointStats) -> Json:
    """Uptime in per cent, latency in milliseconds to the first token, output tokens per second."""
    return {
        "status": STATUS[stats.circuit],
        "uptime_last_5m": _per_cent(stats.uptime_5m),
        "uptime_last_30m": _per_cent(stats.uptime_30m),
        "uptime_last_1d": _per_cent(stats.uptime_1d),
        "pause": pause(stats),
        "latency_last_30m": _percentiles(stats.latency_30m, 1_000),
        "throughput_last_30m": _percentiles(stats.throughput_30m, 1),
    }


def pause(stats: EndpointStats) -> Json | None:
    """Return until when (Unix seconds) an endpoint is not called, and why."""
    if stats.pause is None:
        return None
    return {"until": seconds(stats.pause.until), "reason": stats.pause.reason.value}


def _per_cent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)


def _percentiles(known: Percentiles | None, scale: int) -> Json | None:
    if known is None:
        return None
    return {name: round(scale * value, 3) for name, value in asdict(known).items()}


def provider(slug: str, name: str, pages: Pages, snapshot: Snapshot, *, available: bool) -> Json:
    """Return a provider as GET /providers shows it; `pauses` are those of its models."""
    pauses = [
        {"model": model, **shown}
        for (owner, model), stats in sorted(snapshot.endpoints.items(), key=lambda each: each[0])
        if owner == slug and (shown := pause(stats)) is not None
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
        "available": available,
    }
