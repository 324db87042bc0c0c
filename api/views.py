"""Objects as callers see them, made from rows."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from broker.catalog import Model
from broker.clock import seconds
from broker.completion import Json
from broker.ids import generation_id
from broker.money import usd, usd_text
from broker.pricing import MILLION, Price
from broker.reports import JobReport
from broker.routing import Endpoint


def job(report: JobReport) -> Json:
    """A job as GET /jobs/{id} shows it."""
    row, payload = report.job, report.payload
    extra = orjson.loads(payload.extra) if payload.extra else {}
    body = job_summary(row) | {
        "queue_position": report.queue_position,
        "usage": _usage(report.generation),
        "attempts": [_attempt(attempt, report) for attempt in report.attempts],
        "plan": orjson.Fragment(payload.plan),
        "metadata": extra.get("metadata") or {},
    }
    if report.generation is not None:
        body["generation_id"] = generation_id(row.id)
    if payload.response is not None:
        body["response"] = orjson.Fragment(payload.response)
    return body


def job_summary(row: Any) -> Json:
    """A job as lists show it: without bodies."""
    body: Json = {
        "id": row.id,
        "object": "job",
        "status": row.state,
        "endpoint": row.operation,
        "model": row.model,
        "provider": row.provider,
        "lane": row.lane,
        "stream": row.stream,
        "created_at": seconds(row.created_at),
        "available_at": seconds(row.available_at),
        "deadline": seconds(row.deadline_at),
        "started_at": seconds(row.started_at),
        "ended_at": seconds(row.ended_at),
        "attempt": row.attempt,
        "max_attempts": row.max_attempts,
        "on_unknown": row.on_unknown,
        "urls": job_urls(row.id),
    }
    if row.error is not None:
        body["error"] = orjson.Fragment(row.error)
    return body


def cost(row: Any) -> float | None:
    """What a listed job cost in US dollars; None while nothing was charged."""
    return None if row.cost_nanos is None else usd(row.cost_nanos)


def job_urls(job_id: str) -> Json:
    base = f"/api/v1/jobs/{job_id}"
    return {"self": base, "events": f"{base}/events", "cancel": f"{base}/cancel"}


def _attempt(row: Any, report: JobReport) -> Json:
    generation = report.generation
    paid = generation is not None and generation.attempt == row.number
    return {
        "number": row.number,
        "provider": row.provider,
        "model": row.model,
        "outcome": row.outcome,
        "http_status": row.http_status,
        "error_type": row.error_type,
        "error_message": row.error_message,
        "worker": row.worker,
        "started_at": seconds(row.started_at),
        "queued_ms": row.queued_ms,
        "first_token_ms": row.first_token_ms,
        "duration_ms": row.duration_ms,
        "cost": usd(generation.cost_nanos) if generation is not None and paid else 0.0,
    }


def _usage(generation: Any | None) -> Json | None:
    if generation is None:
        return None
    read, write = generation.cache_read_tokens or 0, generation.cache_write_tokens or 0
    prompt = (generation.input_tokens or 0) + read + write
    completion = generation.output_tokens or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost": usd(generation.cost_nanos),
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
        "completion_tokens_details": {"reasoning_tokens": generation.reasoning_tokens or 0},
    }


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
        "pricing": pricing(cheapest.price),
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
        "pricing": pricing(entry.price),
    }


def pricing(price: Price) -> Json:
    """Prices as OpenRouter writes them: decimal strings of US dollars per token."""
    return {
        "prompt": _per_token(price.prompt),
        "completion": _per_token(price.completion),
        "input_cache_read": _per_token(price.cache_read),
        "input_cache_write": _per_token(price.cache_write),
        "request": usd_text(price.request),
    }


def _per_token(nanos_per_million: int | None) -> str | None:
    return None if nanos_per_million is None else usd_text(Decimal(nanos_per_million) / MILLION)
