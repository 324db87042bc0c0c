"""The `response` object for each state of a job."""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.completion import ErrorType, Json
from broker.dialects.base import DialectJob
from broker.dialects.responses import ids
from broker.dialects.responses.output_items import COMPLETED, INCOMPLETE, OutputStyle, render_output
from broker.enums import JobState
from broker.jobs.error_envelope import describe_job_failure

QUEUED, IN_PROGRESS, FAILED, CANCELLED = "queued", "in_progress", "failed", "cancelled"

_DEFAULTS: Mapping[str, Any] = {
    "background": False, "instructions": None, "max_output_tokens": None, "max_tool_calls": None,
    "metadata": {}, "parallel_tool_calls": True, "previous_response_id": None,
    "prompt_cache_key": None, "reasoning": {"effort": None, "summary": None},
    "frequency_penalty": 0.0, "presence_penalty": 0.0, "safety_identifier": None,
    "service_tier": "auto", "store": True, "temperature": None,
    "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_logprobs": 0,
    "top_p": None, "truncation": "disabled", "user": None,
}  # fmt: skip
"""Fields of the request that a response repeats, with their values where the caller gave none."""

_CODES = {
    ErrorType.RATE_LIMIT_EXCEEDED: "rate_limit_exceeded",
    ErrorType.INVALID_PROMPT: "invalid_prompt",
    ErrorType.CONTEXT_LENGTH_EXCEEDED: "context_length_exceeded",
    ErrorType.INVALID_IMAGE: "invalid_image",
    ErrorType.IMAGE_TOO_LARGE: "image_too_large",
    ErrorType.IMAGE_TOO_SMALL: "image_too_small",
    ErrorType.UNSUPPORTED_IMAGE_FORMAT: "unsupported_image_media_type",
    ErrorType.IMAGE_DOWNLOAD_FAILED: "failed_to_download_image",
    ErrorType.IMAGE_NOT_FOUND: "image_file_not_found",
}
"""OpenAI's words for errors of a response; all others are `server_error`."""

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is incomplete, by the finish reason of its chat completion."""


def render_pending(job: DialectJob, status: str) -> Json:
    """Return the response of a job without an answer yet: `queued` or `in_progress`."""
    return _render(job, status)


def render_answer(job: DialectJob, answer: Json, attempt: int) -> Json:
    """Return the response of a completed job; `answer` is its chat completion."""
    choice = _first_choice(answer)
    output = render_output(choice, OutputStyle.of(job, attempt), find_output_status(answer))
    return render_finished(job, answer, output)


def render_finished(job: DialectJob, answer: Json, output: Sequence[Json]) -> Json:
    """Return the response of a completed job with these items."""
    reason = _REASONS.get(str(_first_choice(answer).get("finish_reason")))
    facts: Json = {"output": list(output), "usage": render_usage(answer.get("usage") or {})}
    if reason is not None:
        facts["incomplete_details"] = {"reason": reason}
    for name in ("model", "provider", "service_tier"):
        if answer.get(name):
            facts[name] = answer[name]
    return _render(job, COMPLETED if reason is None else INCOMPLETE, facts)


def find_output_status(answer: Json) -> str:
    """Return the status of the last item of an answer."""
    return find_ended_status(_first_choice(answer).get("finish_reason"))


def find_ended_status(finish_reason: str | None) -> str:
    """Return the status of a completed job's response."""
    return INCOMPLETE if finish_reason in _REASONS else COMPLETED


def render_failure(job: DialectJob, end: Json, output: Sequence[Json] = ()) -> Json:
    """Return the response of a job without an answer; `end` is the data of its last event.

    `output` has the items that it had produced.
    """
    facts: Json = {"output": list(output)}
    if end["status"] == JobState.CANCELLED:
        return _render(job, CANCELLED, facts)
    _, message, metadata = describe_job_failure(end)
    error = {"code": find_code(metadata), "message": message, "metadata": metadata}
    return _render(job, FAILED, facts | {"error": error})


def find_code(metadata: Json) -> str:
    """Return OpenAI's code for an error of a job."""
    return _CODES.get(ErrorType(metadata["error_type"]), "server_error")


def render_usage(usage: Json) -> Json:
    """Return the usage with the names of the Responses API; costs stay as they are."""
    read = usage.get("prompt_tokens") or 0
    written = usage.get("completion_tokens") or 0
    details, made = (
        _object(usage, "prompt_tokens_details"),
        _object(usage, "completion_tokens_details"),
    )
    translated = ("prompt_tokens", "completion_tokens", "total_tokens")
    rest = {
        name: value
        for name, value in usage.items()
        if name not in translated and not name.endswith("_tokens_details")
    }
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": details.get("cached_tokens") or 0,
            "cache_write_tokens": details.get("cache_write_tokens") or 0,
        },
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": made.get("reasoning_tokens") or 0},
        "total_tokens": usage.get("total_tokens") or read + written,
        **rest,
    }


def _render(job: DialectJob, status: str, facts: Mapping[str, Any] | None = None) -> Json:
    asked = {
        name: default if job.body.get(name) is None else job.body[name]
        for name, default in _DEFAULTS.items()
    }
    return {
        "id": ids.response_id(job.id),
        "object": "response",
        "created_at": job.created,
        "completed_at": job.completed if status == COMPLETED else None,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": job.model,
        "output": [],
        "usage": None,
        **asked,
        **(facts or {}),
    }


def _first_choice(answer: Json) -> Json:
    choices = answer.get("choices") or ()
    return choices[0] if choices else {}


def _object(holder: Json, name: str) -> Json:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}
