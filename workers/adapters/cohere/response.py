"""Reads a whole Cohere answer, version 2 (https://docs.cohere.com/reference/chat) or 1."""

from typing import Any

from broker.completion import Completion, CompletionRequest, Json
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.choices import turn_seed
from workers.adapters.cohere.citations import annotations
from workers.adapters.cohere.legacy import is_legacy, read_legacy
from workers.adapters.cohere.usage import read_usage
from workers.adapters.errors import reported
from workers.adapters.finish_reasons import finish_reason
from workers.adapters.json_shapes import objects, parse, text_of, word
from workers.adapters.tool_calls import whole_calls


def read_document(body: bytes, request: CompletionRequest) -> Completion:
    """Read a whole 2xx body."""
    return read_answer(parse(body), request)


def read_answer(payload: Any, request: CompletionRequest) -> Completion:
    """Normalise an answer that is already parsed."""
    payload = refuse_failure(payload)
    if is_legacy(payload):
        return read_legacy(payload, request)
    message = payload.get("message")
    if not isinstance(message, dict):
        raise MalformedAnswerError("the provider's answer has no message")
    read = _message(message, request)
    native = word(payload, "finish_reason")
    choice: Json = {
        "index": 0,
        "message": read,
        "finish_reason": finish_reason(native, called="tool_calls" in read),
        "native_finish_reason": native,
    }
    if logprobs := read_logprobs(payload.get("logprobs")):
        choice["logprobs"] = logprobs
    usage = read_usage(payload.get("usage"))
    return Completion(choices=[choice], usage=usage, upstream_id=word(payload, "id"))


def refuse_failure(payload: Any) -> Json:
    """Return `payload` if it is an object that reports no failure; raise otherwise.

    Cohere's errors are `{"id", "message": "…"}`; a generation that failed names its `error`.
    """
    if not isinstance(payload, dict):
        raise MalformedAnswerError("the provider's answer is not a JSON object")
    if error := payload.get("error"):
        raise ProviderFailureError(
            reported({"message": error, "type": payload.get("error_type") or "ERROR"})
            if isinstance(error, str)
            else reported(payload)
        )
    if isinstance(payload.get("message"), str):
        raise ProviderFailureError(reported(payload))
    return payload


def blocks_text(content: Any, name: str) -> str:
    """Return the joined `text` or `thinking` of a message's content blocks."""
    if isinstance(content, str):
        return content if name == "text" else ""
    return "".join(text_of(block.get(name)) for block in objects(content))


def read_logprobs(given: Any) -> Json | None:
    """Return Cohere's log probabilities, one per piece of text, in OpenAI's shape."""
    tokens = [_token(item) for item in objects(given)]
    return {"content": tokens, "refusal": None} if tokens else None


def _token(item: Json) -> Json:
    text, given = text_of(item.get("text")), item.get("logprobs")
    # A piece may be several tokens: its probability is their product, so the logarithms add up.
    numbers = given if isinstance(given, list) else ()
    logprob = sum(one for one in numbers if isinstance(one, int | float))
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": []}


def _message(message: Json, request: CompletionRequest) -> Json:
    content = message.get("content")
    text = blocks_text(content, "text")
    reasoning = blocks_text(content, "thinking") + text_of(message.get("tool_plan"))
    read: Json = {"role": "assistant", "content": text or None, "refusal": None}
    if reasoning:
        read["reasoning"] = reasoning
    if notes := annotations(message.get("citations")):
        read["annotations"] = notes
    if found := whole_calls(objects(message.get("tool_calls")), turn_seed(request)):
        read["tool_calls"] = found
    if not found and read["content"] is None:
        read["content"] = ""
    return read
