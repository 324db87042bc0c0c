"""Reads answers of Cohere's chat API version 1, which we never ask for but proxies still give.

Rules: https://docs.cohere.com/v1/reference/chat. A stream is JSON lines, whose last one
(`stream-end`) repeats the whole answer under `response`, so that nothing else need be read.
"""

from typing import Any

from broker.completion import Completion, CompletionRequest, Json, Usage
from workers.adapters.choices import turn_seed
from workers.adapters.cohere.citations import legacy_annotations
from workers.adapters.cohere.usage import read_usage
from workers.adapters.finish_reasons import finish_reason
from workers.adapters.json_shapes import an_object, objects, word
from workers.adapters.tool_calls import whole_calls


def is_legacy(payload: Json) -> bool:
    """Whether an answer is of version 1: its text lies at the top."""
    return "message" not in payload and isinstance(payload.get("text"), str)


def is_event(payload: Json) -> bool:
    """Whether an object is a line of a version 1 stream."""
    return "event_type" in payload


def last_response(event: Json) -> Json | None:
    """Return the answer a `stream-end` event repeats, None for all other events."""
    if event["event_type"] != "stream-end":
        return None
    response = an_object(event.get("response"))
    return {"text": "", "finish_reason": event.get("finish_reason"), **response}


def read_legacy(payload: Json, request: CompletionRequest) -> Completion:
    """Normalise a version 1 answer."""
    calls = [_call(call) for call in objects(payload.get("tool_calls"))]
    message: Json = {"role": "assistant", "content": payload["text"], "refusal": None}
    if notes := legacy_annotations(payload):
        message["annotations"] = notes
    if found := whole_calls(calls, turn_seed(request)):
        message["tool_calls"] = found
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": finish_reason(payload.get("finish_reason"), called=bool(found)),
        "native_finish_reason": word(payload, "finish_reason"),
    }
    return Completion(
        choices=[choice],
        usage=read_usage(payload.get("meta")) or _token_count(payload.get("token_count")),
        upstream_id=word(payload, "generation_id") or word(payload, "response_id"),
    )


def _call(call: Json) -> Json:
    return {"function": {"name": call.get("name"), "arguments": call.get("parameters")}}


def _token_count(count: Any) -> Usage | None:
    """Read the form of the first months."""
    count = an_object(count)
    tokens = {
        "input_tokens": count.get("prompt_tokens"),
        "output_tokens": count.get("response_tokens"),
    }
    return read_usage({"tokens": tokens})
