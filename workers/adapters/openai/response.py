"""Reads a whole OpenAI chat completion."""

from typing import Any

from broker.completion import Completion, CompletionRequest, Json, Usage
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.errors import reported
from workers.adapters.finish_reasons import finish_reason
from workers.adapters.hidden_reasoning import SHOWN_REASONING, hides_reasoning
from workers.adapters.json_shapes import word
from workers.adapters.openai.message import citations, native_reason, read_message
from workers.adapters.openai.quirks import Quirk
from workers.adapters.openai.usage import raw_usage, read_usage


def read_answer(payload: Any, request: CompletionRequest) -> Completion:
    """Normalise a whole answer that is already parsed."""
    payload = refuse_failure(payload)
    choices = payload.get("choices")
    if not isinstance(choices, list) or not choices:
        raise MalformedAnswerError("the provider's answer has no choices")
    seed = id_seed(payload, request)
    functions = "functions" in request.body
    read = [
        _choice(choice, index, f"{seed}/{index}", functions=functions)
        for index, choice in enumerate(choices)
    ]
    if hides_reasoning(request.body):
        for choice in read:
            for name in SHOWN_REASONING:
                choice["message"].pop(name, None)
    if "annotations" not in read[0]["message"] and (notes := citations(payload)):
        read[0]["message"]["annotations"] = notes
    return Completion(
        choices=read,
        usage=usage_of(raw_usage(payload), request),
        upstream_id=word(payload, "id"),
        upstream_model=word(payload, "model"),
        system_fingerprint=word(payload, "system_fingerprint"),
        service_tier=word(payload, "service_tier"),
    )


def refuse_failure(payload: Any) -> Json:
    """Return `payload` if it is an object that reports no failure; raise otherwise."""
    if isinstance(payload, list) and payload and isinstance(payload[0], dict):
        payload = payload[0]  # Google wraps its errors in an array
    if not isinstance(payload, dict):
        raise MalformedAnswerError("the provider's answer is not a JSON object")
    if payload.get("error"):
        raise ProviderFailureError(reported(payload))
    choices = payload.get("choices")
    if not choices and (payload.get("object") == "error" or payload.get("detail")):
        raise ProviderFailureError(reported(payload))
    for choice in choices if isinstance(choices, list) else ():
        # Azure's `content_filter_result.error` lies deeper and only says that nothing was filtered.
        if isinstance(choice, dict) and choice.get("error"):
            raise ProviderFailureError(reported(choice))
    return payload


def usage_of(raw: object, request: CompletionRequest) -> Usage | None:
    """Return what a usage object says, by the rules of the vendor that was asked."""
    return read_usage(raw, reasoning_apart=Quirk.REASONING_APART in request.quirks)


def id_seed(payload: Json, request: CompletionRequest) -> str:
    """Return what made-up tool call ids derive from: another in every turn of a conversation."""
    messages = request.body.get("messages")
    turn = len(messages) if isinstance(messages, list) else 0
    return f"{word(payload, 'id') or ''}/{turn}"


def _choice(choice: Any, position: int, seed: str, *, functions: bool) -> Json:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise MalformedAnswerError("the provider's answer has a choice without a message")
    read = read_message(message, seed, functions=functions)
    called = "tool_calls" in read or "function_call" in read
    index = choice.get("index")
    normalised: Json = {
        "index": index if isinstance(index, int) else position,
        "message": read,
        "finish_reason": finish_reason(choice.get("finish_reason"), called=called),
        "native_finish_reason": native_reason(choice),
    }
    if isinstance(logprobs := choice.get("logprobs"), dict):
        normalised["logprobs"] = logprobs
    return normalised
