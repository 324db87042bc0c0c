"""Objects as callers see them, made from rows."""

from datetime import UTC, datetime
from typing import Any

from broker.completion import Json
from broker.job_view import job, job_summary, job_urls
from broker.money import usd

__all__ = ["cost", "generation", "job", "job_summary", "job_urls"]


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
