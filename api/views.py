"""Objects as callers see them, made from rows."""

from datetime import UTC, datetime
from typing import Any

from broker.catalog import Model
from broker.completion import Json
from broker.job_view import job, job_summary, job_urls
from broker.money import usd
from broker.pricing import listed
from broker.routing import Endpoint

__all__ = ["cost", "endpoint", "generation", "job", "job_summary", "job_urls", "model"]


def cost(row: Any) -> float | None:
    """What a listed job cost in US dollars; None while nothing was charged."""
    return None if row.cost_nanos is None else usd(row.cost_nanos)


def generation(row: Any) -> Json:
    """A generation as GET /generation shows it (OpenRouter's names; times in milliseconds)."""
    read, write = row.cache_read_tokens or 0, row.cache_write_tokens or 0
    prompt = (row.input_tokens or 0) + read + write
    return {
        "id": row.id,
        "request_id": row.job_id,
        "job_id": row.job_id,
        "upstream_id": row.upstream_id,
        "workspace_id": row.workspace_id,
        "created_at": datetime.fromtimestamp(row.created_at / 1000, UTC).isoformat(),
        "api_type": "completions",
        "model": row.model,
        "provider_name": row.provider,
        "streamed": row.streamed,
        "cancelled": False,
        "finish_reason": row.finish_reason,
        "native_finish_reason": row.native_finish_reason,
        "latency": row.first_token_ms if row.first_token_ms is not None else row.duration_ms,
        "generation_time": row.duration_ms,
        "tokens_prompt": prompt,
        "tokens_completion": row.output_tokens or 0,
        "native_tokens_prompt": prompt,
        "native_tokens_completion": row.output_tokens or 0,
        "native_tokens_reasoning": row.reasoning_tokens or 0,
        "native_tokens_cached": read,
        "usage": usd(row.cost_nanos),
        "total_cost": usd(row.cost_nanos),
        "is_byok": False,
        "data_region": "global",
        "origin": "",
        **NOT_RECORDED,
    }


NOT_RECORDED: Json = dict.fromkeys(
    ("app_id", "cache_discount", "external_user", "http_referer", "moderation_latency",
     "native_tokens_completion_images", "num_fetches", "num_input_audio_prompt",
     "num_media_completion", "num_media_prompt", "num_search_results", "preset_id",
     "provider_responses", "router", "service_tier", "upstream_inference_cost", "user_agent",
     "web_search_engine")
)  # fmt: skip
"""Fields of OpenRouter's generation that its SDK insists on."""


def model(entry: Model) -> Json:
    """A model as GET /models shows it (OpenRouter's names; prices in US dollars per token)."""
    cheapest = min(entry.endpoints, key=lambda endpoint: endpoint.price.prompt)
    return {
        "id": entry.slug,
        "canonical_slug": entry.slug,
        "name": entry.name,
        "created": 0,
        "object": "model",
        "owned_by": entry.slug.split("/", 1)[0],
        "description": entry.description,
        "context_length": entry.context_length,
        "architecture": {
            "modality": f"{'+'.join(entry.input_modalities)}->{'+'.join(entry.output_modalities)}",
            "input_modalities": list(entry.input_modalities),
            "output_modalities": list(entry.output_modalities),
        },
        "pricing": listed(cheapest.price),
        "top_provider": {
            "context_length": cheapest.context_length,
            "max_completion_tokens": cheapest.max_completion_tokens,
            "is_moderated": False,
        },
        "supported_parameters": list(entry.supported_parameters or []),
        "default_parameters": None,
        "per_request_limits": None,
        "supported_voices": None,
        "links": {"details": f"/api/v1/models/{entry.slug}/endpoints"},
        "endpoints": [endpoint(each) for each in entry.endpoints],
    }


def endpoint(entry: Endpoint) -> Json:
    return {
        "provider_name": entry.provider,
        "model_name": entry.native,
        "context_length": entry.context_length,
        "max_completion_tokens": entry.max_completion_tokens,
        "quantization": entry.quantization,
        "pricing": listed(entry.price),
    }
