"""Reading of a whole generateContent answer and its usage. Streams share parts of it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from broker.completion import Chunk, Completion, CompletionRequest, Json, Usage
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.errors import read_reported_error
from workers.adapters.gemini.candidate import GeminiCandidate, with_logprobs
from workers.adapters.gemini.models import GeminiModel
from workers.adapters.json_shapes import text_field
from workers.adapters.reasoning import hides_reasoning

_TIERS = {"standard": "default"}


def counts_something(raw: Any) -> bool:
    """Return whether a `usageMetadata` has counts. Within a stream it may have only a tier."""
    return isinstance(raw, dict) and any(name.endswith("TokenCount") for name in raw)


def read_usage(raw: Any) -> Usage | None:
    """Return the usage in a `usageMetadata`, or None where it counts nothing."""
    if not counts_something(raw):
        return None
    cached = _count(raw, "cachedContentTokenCount")
    prompt = _sum(_count(raw, "promptTokenCount"), _count(raw, "toolUsePromptTokenCount"))
    thoughts = _count(raw, "thoughtsTokenCount")
    output = _sum(_count(raw, "candidatesTokenCount"), thoughts)
    total = _count(raw, "totalTokenCount")
    if output is None and prompt is not None and total is not None:
        output = max(0, total - prompt)
    return Usage(
        input=None if prompt is None else max(0, prompt - (cached or 0)),
        cache_read=cached,
        output=output,
        reasoning=thoughts,
        input_audio=_of_kind(raw, "promptTokensDetails", "AUDIO"),
        input_image=_of_kind(raw, "promptTokensDetails", "IMAGE"),
        output_audio=_of_kind(raw, "candidatesTokensDetails", "AUDIO"),
        output_image=_of_kind(raw, "candidatesTokensDetails", "IMAGE"),
    )


def with_searches(usage: Usage | None, queries: Iterable[set[str]], model: str) -> Usage | None:
    """Return the usage with the searches that Google bills. `queries`: those of each candidate."""
    count = sum(len(each) for each in queries)
    if usage is None or not count:
        return usage
    return replace(usage, searches=count if GeminiModel.from_name(model).bills_queries else 1)


def read_tier(raw: Any) -> str | None:
    """Return the service tier in OpenAI's words."""
    tier = raw.get("serviceTier") if isinstance(raw, dict) else None
    return _TIERS.get(tier, tier) if isinstance(tier, str) else None


def _count(holder: Json, name: str) -> int | None:
    value = holder.get(name)
    return value if isinstance(value, int) and value >= 0 else None


def _sum(*counts: int | None) -> int | None:
    stated = [count for count in counts if count is not None]
    return sum(stated) if stated else None


def _of_kind(raw: Json, name: str, modality: str) -> int | None:
    details = raw.get(name)
    entries = details if isinstance(details, list) else []
    of_kind = [e for e in entries if isinstance(e, dict) and e.get("modality") == modality]
    return _sum(*(_count(entry, "tokenCount") for entry in of_kind))


def require_success(payload: Any) -> Json:
    """Return `payload` if it is an object that reports no failure.

    Raises ProviderFailureError for a failure, and MalformedAnswerError for anything else.
    """
    if isinstance(payload, list) and payload and isinstance(payload[0], dict):
        payload = payload[0]  # an error may be in an array, as the stream would be
    if not isinstance(payload, dict):
        raise MalformedAnswerError("the provider's answer is not a JSON object")
    if payload.get("error"):
        raise ProviderFailureError(read_reported_error(payload))
    return payload


def read_blocked_prompt(payload: Json) -> Json | None:
    """Return the choice for a blocked prompt, or None where it was not blocked."""
    feedback = payload.get("promptFeedback")
    if not isinstance(feedback, dict) or not (reason := text_field(feedback, "blockReason")):
        return None
    refusal = text_field(feedback, "blockReasonMessage") or f"The prompt was blocked: {reason}."
    message = {"role": "assistant", "content": None, "refusal": refusal}
    finish = {"finish_reason": "content_filter", "native_finish_reason": reason}
    return {"index": 0, "message": message, **finish}


def read_candidates(payload: Json) -> list[tuple[int, Json]]:
    """Return the candidates with their indexes. Vertex AI leaves out the indexes."""
    found = payload.get("candidates")
    return [
        (index if isinstance(index := entry.get("index"), int) else position, entry)
        for position, entry in enumerate(found if isinstance(found, list) else [])
        if isinstance(entry, dict)
    ]


def open_candidate(index: int, payload: Json, request: CompletionRequest) -> GeminiCandidate:
    """Return a new reader. The ids of its calls are the same whenever the answer is read."""
    messages = request.body.get("messages")
    turn = len(messages) if isinstance(messages, list) else 0
    seed = f"{text_field(payload, 'responseId') or ''}/{turn}"
    return GeminiCandidate(index, seed, hidden=hides_reasoning(request.body))


def read_envelope(payload: Json) -> Chunk:
    """Return the fields that every chunk of an answer repeats."""
    return Chunk(
        upstream_id=text_field(payload, "responseId"),
        upstream_model=text_field(payload, "modelVersion"),
        service_tier=read_tier(payload.get("usageMetadata")),
    )


def read_response(payload: Any, request: CompletionRequest) -> Completion:
    """Normalise a whole answer that is already parsed.

    Raises MalformedAnswerError and ProviderFailureError.
    """
    payload = require_success(payload)
    read = [
        (entry, open_candidate(index, payload, request))
        for index, entry in read_candidates(payload)
    ]
    choices = [_choice(entry, candidate) for entry, candidate in read]
    if not choices and (refused := read_blocked_prompt(payload)):
        choices = [refused]
    if not choices:
        raise MalformedAnswerError("the provider's answer has no candidates")
    shared = read_envelope(payload)
    return Completion(
        choices=choices,
        usage=with_searches(
            read_usage(payload.get("usageMetadata")),
            [candidate.queries for _, candidate in read],
            request.model,
        ),
        upstream_id=shared.upstream_id,
        upstream_model=shared.upstream_model,
        service_tier=shared.service_tier,
    )


def _choice(entry: Json, candidate: GeminiCandidate) -> Json:
    delta = candidate.feed(entry)
    last, reasons = candidate.finish()
    calls = delta.pop("tool_calls", ())
    message: Json = {"role": "assistant", "content": None, "refusal": None, **delta, **last}
    if calls:
        message["tool_calls"] = [
            {name: value for name, value in call.items() if name != "index"} for call in calls
        ]
    return with_logprobs({"index": candidate.index, "message": message, **reasons}, entry)
