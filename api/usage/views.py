"""Generations as GET /generation shows them: OpenRouter's names, durations in milliseconds."""

from typing import Any

import orjson

from broker import routing
from broker.clock import moment
from broker.completion import Json
from broker.enums import JobState
from broker.ids import generation_id
from broker.jobs.reports import JobReport
from broker.jobs.rows import JobAttemptRow, JobRow
from broker.money import usd
from broker.requests.operations import PICTURES, Operation
from broker.usage.rollups import GenerationRow

API_TYPES = {
    Operation.EMBEDDINGS.value: "embeddings",
    Operation.RERANK.value: "rerank",
    Operation.MODERATIONS.value: "moderation",
    Operation.SPEECH.value: "tts",
    Operation.TRANSCRIPTIONS.value: "stt",
    **{operation.value: "image" for operation in PICTURES},
}
NOT_RECORDED: Json = dict.fromkeys(
    ("moderation_latency", "num_fetches", "num_search_results", "preset_id",
     "response_cache_source_id", "router", "web_search_engine")
)  # fmt: skip
"""Fields of OpenRouter's generation that its SDK requires."""


def render_generation(report: JobReport) -> Json:
    """Return the generation of a job that has one."""
    job, row = report.job, report.generation
    assert row is not None
    response = orjson.loads(report.payload.response or b"{}")
    usage = response.get("usage") or {}
    return {
        "id": row.id,
        "request_id": job.id,
        "job_id": job.id,
        "upstream_id": row.upstream_id,
        "workspace_id": row.workspace_id,
        "api_key_id": job.api_key_id,
        "created_at": moment(row.created_at),
        "api_type": API_TYPES.get(job.operation, "completions"),
        "model": row.model,
        "provider_name": row.provider,
        "provider_responses": [_provider_response(each) for each in report.attempts],
        "streamed": row.streamed,
        "cancelled": job.state == JobState.CANCELLED.value,
        "finish_reason": row.finish_reason,
        "native_finish_reason": row.native_finish_reason,
        "latency": row.first_token_ms if row.first_token_ms is not None else row.duration_ms,
        "generation_time": row.duration_ms,
        **_tokens(row),
        **_media(report.payload.request, usage),
        "usage": usd(row.cost_nanos),
        "total_cost": usd(row.cost_nanos),
        "upstream_inference_cost": _upstream_cost(row, usage),
        "cache_discount": _cache_discount(report, row.cache_read_tokens or 0),
        "is_byok": row.is_byok,
        "service_tier": response.get("service_tier"),
        "data_region": "global",
        **_caller(job, orjson.loads(report.payload.extra or b"{}")),
        **NOT_RECORDED,
    }


def _tokens(row: GenerationRow) -> Json:
    """Return the numbers of tokens. They are the provider's own, so the native ones are equal."""
    read, write = row.cache_read_tokens or 0, row.cache_write_tokens or 0
    prompt = (row.input_tokens or 0) + read + write
    return {
        "tokens_prompt": prompt,
        "tokens_completion": row.output_tokens or 0,
        "native_tokens_prompt": prompt,
        "native_tokens_completion": row.output_tokens or 0,
        "native_tokens_reasoning": row.reasoning_tokens or 0,
        "native_tokens_cached": read,
    }


def _caller(job: JobRow, extra: Json) -> Json:
    """Return the caller, and what the caller stated about the request."""
    origin = extra.get("origin") or {}
    return {
        "session_id": job.session_id,
        "external_user": job.end_user,
        "app": job.app,
        "app_id": None,  # OpenRouter's are numbers
        "origin": origin.get("http_referer") or "",
        "http_referer": origin.get("http_referer"),
        "user_agent": origin.get("user_agent"),
        "metadata": extra.get("metadata") or {},
        "trace": extra.get("trace"),
    }


def render_content(report: JobReport, *, shows_presets: bool) -> Json:
    """Return the stored prompt, answer and error of a job, as GET /generation/content shows them.

    Without `shows_presets`, the message that a preset added before the caller's is left out.
    """
    request = orjson.loads(report.payload.request or b"{}")
    extra = orjson.loads(report.payload.extra or b"{}")
    if extra.get("preset_prompt") and not shows_presets and request.get("messages"):
        request["messages"] = request["messages"][1:]
    choices = orjson.loads(report.payload.response or b"{}").get("choices") or []
    messages = [choice.get("message") or {} for choice in choices]
    first = messages[0] if messages else {}
    texts = [choice["text"] for choice in choices if choice.get("text")]
    error = orjson.loads(report.job.error) if report.job.error else None
    return {
        "id": generation_id(report.job.id),
        "input": _input(request) if report.payload.request else None,
        "output": {
            "completion": first.get("content") or (texts[0] if texts else None),
            "reasoning": first.get("reasoning"),
        },
        "error": None if error is None else _error(error),
    }


def _input(request: Json) -> Json:
    if "messages" in request:
        return {"messages": request["messages"]}
    prompt = next((request[name] for name in ("prompt", "input", "query") if name in request), "")
    return {"prompt": prompt if isinstance(prompt, str) else orjson.dumps(prompt).decode()}


def _error(error: Json) -> Json:
    return {
        "status": error.get("http_status"),
        "message": error.get("message"),
        "provider_name": error.get("provider"),
        "raw": error.get("raw"),
        "previous_errors": [],
    }


def _provider_response(attempt: JobAttemptRow) -> Json:
    return {
        "id": attempt.upstream_id,
        "status": attempt.http_status,
        "latency": attempt.duration_ms,
        "provider_name": attempt.provider,
        "model_permaslug": attempt.model,
        "endpoint_id": f"{attempt.provider}/{attempt.model}",
        "is_byok": attempt.credential_id is not None,
        "routed_service_tier": None,
    }


def _upstream_cost(row: GenerationRow, usage: Json) -> Any:
    if row.is_byok:
        return usd(row.byok_cost_nanos)
    return (usage.get("cost_details") or {}).get("upstream_inference_cost")


def _media(request: bytes, usage: Json) -> Json:
    """Count the parts of the prompt and the answer that are not text."""
    parts = [
        part.get("type")
        for message in orjson.loads(request or b"{}").get("messages") or ()
        if isinstance(message.get("content"), list)
        for part in message["content"]
    ]
    details = usage.get("completion_tokens_details") or {}
    return {
        "num_media_prompt": sum(kind not in (None, "text", "refusal") for kind in parts),
        "num_input_audio_prompt": parts.count("input_audio"),
        "num_media_completion": None,
        "native_tokens_completion_images": details.get("image_tokens"),
    }


def _cache_discount(report: JobReport, cached: int) -> float | None:
    """Return the cost in US dollars that cached input saved, at the prices of the plan."""
    row = report.generation
    if not cached or row is None:
        return None
    for step in routing.decode_plan(report.payload.plan).steps:
        endpoint = step.endpoint
        if endpoint.key == (row.provider, row.model):
            full, read = endpoint.price.prompt, endpoint.price.cache_read
            return 0.0 if read is None else usd((full - read) * cached // 1_000_000)
    return None
