"""Reading of a whole answer of the Responses API."""

from dataclasses import replace
from typing import Any

from broker.completion import Chunk, Completion, CompletionRequest, Json, Usage
from workers.adapters.base import CutOffError, MalformedAnswerError, ProviderFailureError
from workers.adapters.choices import SingleChoice
from workers.adapters.errors import read_reported_error
from workers.adapters.json_shapes import as_object, as_objects, text_field
from workers.adapters.openai.usage import read_usage as read_chat_usage
from workers.adapters.responses.output import Output

UNFINISHED = ("queued", "in_progress")
_FAILED = ("failed", "cancelled")


def read_usage(raw: Any, searches: int = 0) -> Usage | None:
    """Return the usage in a `usage` object, or None where it counts nothing.

    `searches`: web searches in the output, which OpenAI bills but does not count in the usage. A
    provider that states its charge has them in it.
    """
    if not isinstance(raw, dict):
        return None
    named = {
        "prompt_tokens": raw.get("input_tokens"),
        "completion_tokens": raw.get("output_tokens"),
        "prompt_tokens_details": raw.get("input_tokens_details"),
        "completion_tokens_details": raw.get("output_tokens_details"),
    }
    usage = read_chat_usage({**raw, **named})
    if usage is None or not searches or usage.searches is not None or usage.cost_nanos is not None:
        return usage
    return replace(usage, searches=searches)


def require_success(payload: Any) -> Json:
    """Return `payload` if it is an object that reports no failure.

    Raises ProviderFailureError for a failure, and MalformedAnswerError for anything else.
    """
    if not isinstance(payload, dict):
        raise MalformedAnswerError("the provider's answer is not a JSON object")
    if payload.get("error") or payload.get("type") == "error":
        raise ProviderFailureError(read_reported_error(_error(payload)))
    if payload.get("status") in _FAILED:
        message = f"the provider ended the response as {payload['status']}"
        raise ProviderFailureError(read_reported_error({"error": {"message": message}}))
    return payload


def _error(payload: Json) -> Json:
    """Return the error of an answer or an event, whose `type` is no code of the error."""
    if payload.get("error"):
        return {"error": payload["error"], "code": payload.get("code")}
    return {"error": {name: payload.get(name) for name in ("code", "message", "param")}}


def read_native_reason(answer: Json) -> str | None:
    """Return why an answer ended: the reason of an incomplete one, else its status."""
    reason = text_field(as_object(answer.get("incomplete_details")), "reason")
    return reason or text_field(answer, "status")


def read_response(payload: Any, request: CompletionRequest) -> Completion:
    """Normalise a whole answer that is already parsed.

    Raises MalformedAnswerError and ProviderFailureError.
    """
    payload = require_success(payload)
    if not isinstance(payload.get("output"), list):
        raise MalformedAnswerError("the provider's answer has no output")
    if payload.get("status") in UNFINISHED:
        raise CutOffError(f"the response is still {payload['status']}")
    choice = SingleChoice(request)
    output = Output(request, choice)
    chunks = output.end_all(as_objects(payload["output"]))
    chunks += choice.finish(read_native_reason(payload))
    return Completion(
        choices=[_join(chunks)],
        usage=read_usage(payload.get("usage"), output.searches),
        upstream_id=text_field(payload, "id"),
        upstream_model=text_field(payload, "model"),
        service_tier=text_field(payload, "service_tier"),
    )


def _join(chunks: list[Chunk]) -> Json:
    """Return the choice of whole items: every text and every call is in one chunk."""
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    joined: Json = {"index": 0, "message": message}
    tokens: list[Any] = []
    calls: dict[int, Json] = {}
    for [choice] in (chunk.choices for chunk in chunks):
        delta = choice["delta"]
        for name in ("content", "refusal", "reasoning"):
            if isinstance(text := delta.get(name), str):
                message[name] = (message.get(name) or "") + text
        for name in ("annotations", "images", "reasoning_details"):
            if name in delta:
                message[name] = [*message.get(name, ()), *delta[name]]
        for call in delta.get("tool_calls", ()):
            _add_call(calls, call)
        tokens += as_object(choice.get("logprobs")).get("content") or ()
    if calls:
        message["tool_calls"] = list(calls.values())
        message["content"] = message["content"] or None
    joined["finish_reason"] = chunks[-1].choices[0]["finish_reason"]
    joined["native_finish_reason"] = chunks[-1].choices[0]["native_finish_reason"]
    if tokens:
        joined["logprobs"] = {"content": tokens, "refusal": None}
    return joined


def _add_call(calls: dict[int, Json], delta: Json) -> None:
    """Add the beginning of a call, or its arguments."""
    index = delta["index"]
    if index not in calls:
        calls[index] = {name: value for name, value in delta.items() if name != "index"}
        return
    call = calls[index]
    kind = call["type"]
    for name, text in delta[kind].items():
        call[kind] = {**call[kind], name: call[kind].get(name, "") + text}
