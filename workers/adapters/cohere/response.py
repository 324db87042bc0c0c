"""Reading of a whole Cohere answer, version 2 (https://docs.cohere.com/reference/chat) or 1.

Waybill requests version 2 only, but some proxies answer in version 1. Citations:
https://docs.cohere.com/docs/rag-citations.
"""

from typing import Any

from broker.completion import Completion, CompletionRequest, Json, Usage
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.choices import finish_reason, turn_seed
from workers.adapters.errors import read_reported_error
from workers.adapters.json_shapes import as_object, as_objects, as_text, text_field
from workers.adapters.tool_calls import read_calls


def read_usage(usage: Any) -> Usage | None:
    """Return the usage in a `usage` (version 1: `meta`) object, None where it counts nothing."""
    usage = as_object(usage)
    billed = as_object(usage.get("billed_units"))
    counted = as_object(usage.get("tokens"))
    if not counted:
        counted, billed = billed, {}
    given, output = _count(counted, "input_tokens"), _count(counted, "output_tokens")
    if given is None and output is None:
        return None
    cached = _count(usage, "cached_tokens")
    if cached is None:
        cached = _count(counted, "cached_tokens")
    if given is not None and cached is not None:
        cached = min(cached, given)
    return Usage(
        input=None if given is None else given - (cached or 0),
        cache_read=cached,
        output=output,
        reasoning=_count(counted, "reasoning_tokens"),
        billed_input=_count(billed, "input_tokens"),
        billed_output=_count(billed, "output_tokens"),
    )


def _count(holder: Json, name: str) -> int | None:
    value = holder.get(name)  # seen as 12 and as 12.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value >= 0 else None


def read_citations(given: Any) -> list[Json]:
    """Return the annotations of a list of citations, or of a single one from a stream."""
    return [note for citation in as_objects(given) for note in _notes(citation)]


def read_legacy_citations(payload: Json) -> list[Json]:
    """Return the annotations of a version 1 answer. Its citations name documents beside them."""
    known = {str(one.get("id")): one for one in as_objects(payload.get("documents"))}
    return [
        _note(citation, str(name), known.get(str(name), {}))
        for citation in as_objects(payload.get("citations"))
        if isinstance(names := citation.get("document_ids"), list)
        for name in names
    ]


def _notes(citation: Json) -> list[Json]:
    if citation.get("type") not in (None, "TEXT_CONTENT"):
        return []  # its positions count in the plan or the thinking, not in the answer
    sources = as_objects(citation.get("sources"))
    return [_note(citation, str(one.get("id") or ""), _source(one)) for one in sources]


def _source(source: Json) -> Json:
    for name in ("document", "tool_output"):
        if isinstance(found := source.get(name), dict):
            return found
    return {}


def _note(citation: Json, name: str, source: Json) -> Json:
    cited: Json = {
        "url": as_text(source.get("url")) or name,
        "title": as_text(source.get("title")) or name,
        "start_index": _position(citation.get("start")),
        "end_index": _position(citation.get("end")),
    }
    if text := as_text(citation.get("text")):
        cited["content"] = text
    return {"type": "url_citation", "url_citation": cited}


def _position(value: Any) -> int:
    return value if isinstance(value, int) else 0


def is_legacy(payload: Json) -> bool:
    """Return whether an answer is of version 1, with its text at the top level."""
    return "message" not in payload and isinstance(payload.get("text"), str)


def is_legacy_event(payload: Json) -> bool:
    """Return whether an object is a line of a version 1 stream."""
    return "event_type" in payload


def read_legacy_end(event: Json) -> Json | None:
    """Return the whole answer in a `stream-end` event, or None for other events."""
    if event["event_type"] != "stream-end":
        return None
    response = as_object(event.get("response"))
    return {"text": "", "finish_reason": event.get("finish_reason"), **response}


def read_legacy(payload: Json, request: CompletionRequest) -> Completion:
    """Normalise a version 1 answer."""
    calls = [_call(call) for call in as_objects(payload.get("tool_calls"))]
    message: Json = {"role": "assistant", "content": payload["text"], "refusal": None}
    if notes := read_legacy_citations(payload):
        message["annotations"] = notes
    if found := read_calls(calls, turn_seed(request)):
        message["tool_calls"] = found
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": finish_reason(payload.get("finish_reason"), called=bool(found)),
        "native_finish_reason": text_field(payload, "finish_reason"),
    }
    return Completion(
        choices=[choice],
        usage=read_usage(payload.get("meta")) or _token_count(payload.get("token_count")),
        upstream_id=text_field(payload, "generation_id") or text_field(payload, "response_id"),
    )


def _call(call: Json) -> Json:
    return {"function": {"name": call.get("name"), "arguments": call.get("parameters")}}


def _token_count(count: Any) -> Usage | None:
    """Read the usage of the oldest answers, `token_count`."""
    count = as_object(count)
    tokens = {
        "input_tokens": count.get("prompt_tokens"),
        "output_tokens": count.get("response_tokens"),
    }
    return read_usage({"tokens": tokens})


def read_response(payload: Any, request: CompletionRequest) -> Completion:
    """Normalise a whole answer that is already parsed.

    Raises MalformedAnswerError and ProviderFailureError.
    """
    payload = require_success(payload)
    if is_legacy(payload):
        return read_legacy(payload, request)
    message = payload.get("message")
    if not isinstance(message, dict):
        raise MalformedAnswerError("the provider's answer has no message")
    read = _message(message, request)
    native = text_field(payload, "finish_reason")
    choice: Json = {
        "index": 0,
        "message": read,
        "finish_reason": finish_reason(native, called="tool_calls" in read),
        "native_finish_reason": native,
    }
    if logprobs := read_logprobs(payload.get("logprobs")):
        choice["logprobs"] = logprobs
    usage = read_usage(payload.get("usage"))
    return Completion(choices=[choice], usage=usage, upstream_id=text_field(payload, "id"))


def require_success(payload: Any) -> Json:
    """Return `payload` if it is an object that reports no failure.

    Cohere's errors are `{"id", "message": "…"}`. A failed generation has an `error`.
    Raises ProviderFailureError for a failure, and MalformedAnswerError for anything else.
    """
    if not isinstance(payload, dict):
        raise MalformedAnswerError("the provider's answer is not a JSON object")
    if error := payload.get("error"):
        raise ProviderFailureError(
            read_reported_error({"message": error, "type": payload.get("error_type") or "ERROR"})
            if isinstance(error, str)
            else read_reported_error(payload)
        )
    if isinstance(payload.get("message"), str):
        raise ProviderFailureError(read_reported_error(payload))
    return payload


def join_blocks(content: Any, name: str) -> str:
    """Return the joined `text` or `thinking` (`name`) of a message's content blocks."""
    if isinstance(content, str):
        return content if name == "text" else ""
    return "".join(as_text(block.get(name)) for block in as_objects(content))


def read_logprobs(given: Any) -> Json | None:
    """Return Cohere's log probabilities, one per piece of text, in OpenAI's shape."""
    tokens = [_token(item) for item in as_objects(given)]
    return {"content": tokens, "refusal": None} if tokens else None


def _token(item: Json) -> Json:
    text, given = as_text(item.get("text")), item.get("logprobs")
    # A piece may have several tokens: the logarithms of their probabilities add up.
    numbers = given if isinstance(given, list) else ()
    logprob = sum(one for one in numbers if isinstance(one, int | float))
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": []}


def _message(message: Json, request: CompletionRequest) -> Json:
    content = message.get("content")
    text = join_blocks(content, "text")
    reasoning = join_blocks(content, "thinking") + as_text(message.get("tool_plan"))
    read: Json = {"role": "assistant", "content": text or None, "refusal": None}
    if reasoning:
        read["reasoning"] = reasoning
    if notes := read_citations(message.get("citations")):
        read["annotations"] = notes
    if found := read_calls(as_objects(message.get("tool_calls")), turn_seed(request)):
        read["tool_calls"] = found
    if not found and read["content"] is None:
        read["content"] = ""
    return read
