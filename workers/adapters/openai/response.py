"""Reading of a whole OpenAI chat completion, in any vendor's variation."""

from typing import Any, NamedTuple

import orjson

from broker.completion import Completion, CompletionRequest, Json, Usage
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.choices import finish_reason
from workers.adapters.errors import read_reported_error
from workers.adapters.json_shapes import text_field
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.adapters.openai.thinking import split_thinking
from workers.adapters.openai.usage import find_usage, read_usage
from workers.adapters.reasoning import REASONING_FIELDS, hides_reasoning
from workers.adapters.tool_calls import read_calls

PASSED_FIELDS = ("reasoning_details", "annotations", "images", "audio", "extra_content")
"""Fields that are passed on unchanged. `extra_content` holds Google's thought signatures."""


class Content(NamedTuple):
    """The parts of a `content` field."""

    text: str | None
    reasoning: str = ""
    images: tuple[Json, ...] = ()


def read_native_reason(choice: Json) -> str | None:
    """Return the finish reason of the provider that ran the model."""
    for name in ("native_finish_reason", "finish_reason"):
        if isinstance(word := choice.get(name), str):
            return word
    return None


def read_content(content: object) -> Content:
    """Split a `content`: text, Mistral's list of parts, or Cloudflare's parsed JSON."""
    if content is None or isinstance(content, str):
        return Content(content)
    if not isinstance(content, list):
        return Content(orjson.dumps(content).decode())
    texts: list[str] = []
    thoughts: list[str] = []
    images: list[Json] = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "thinking":
            thoughts.append(_join_text(part.get("thinking")))
        elif kind == "image_url":
            images.append(part)
        else:
            texts.append(_join_text(part))
    return Content("".join(texts) if texts else None, "".join(thoughts), tuple(images))


def read_reasoning(message: Json) -> str:
    """Return the reasoning that a message has beside its content."""
    for name in ("reasoning", "reasoning_content"):
        if isinstance(value := message.get(name), str) and value:
            return value
    return ""


def read_message(message: Json, seed: str, *, functions: bool) -> Json:
    """Normalise a whole message. `functions`: the request has OpenAI's older `functions`."""
    content = read_content(message.get("content"))
    text, reasoning = content.text, read_reasoning(message) or content.reasoning
    if text and not reasoning:
        reasoning, text = split_thinking(text)
    refusal = message.get("refusal")
    read: Json = {"role": "assistant", "content": text, "refusal": refusal or None}
    if reasoning:
        read["reasoning"] = reasoning
    read |= select_fields(message)
    if content.images:
        read["images"] = [*read.get("images", ()), *content.images]
    _read_calls(read, message, seed, functions=functions)
    return read


def select_fields(message: Json) -> Json:
    """Return the fields to pass on that are not empty."""
    kept = {name: value for name in PASSED_FIELDS if (value := message.get(name))}
    audio = kept.get("audio")
    if isinstance(audio, dict) and not any(audio.values()):
        del kept["audio"]  # Snowflake fills every field of OpenAI's with nothing
    return kept


def read_function_call(message: Json) -> Json | None:
    """Return a `function_call` that is not empty."""
    call = message.get("function_call")
    return call if isinstance(call, dict) and any(call.values()) else None


def read_citations(payload: Json) -> list[Json]:
    """Return Perplexity's and xAI's sources, which are beside the choices, as annotations."""
    found = payload.get("search_results") or payload.get("citations")
    sources = found if isinstance(found, list) else []
    return [note for source in sources if (note := _annotation(source))]


def _annotation(source: Any) -> Json | None:
    url = source.get("url") if isinstance(source, dict) else source
    if not isinstance(url, str) or not url:
        return None
    title = source.get("title") if isinstance(source, dict) else None
    citation = {"url": url, "title": title or url, "start_index": 0, "end_index": 0}
    return {"type": "url_citation", "url_citation": citation}


def _read_calls(read: Json, message: Json, seed: str, *, functions: bool) -> None:
    calls = read_calls(message.get("tool_calls"), seed)
    if call := read_function_call(message):
        if functions:
            arguments = call.get("arguments") or "{}"
            read["function_call"] = {"name": call.get("name"), "arguments": arguments}
        else:
            calls += read_calls([{"function": call}], seed)
    if calls:
        read["tool_calls"] = calls


def _join_text(part: object) -> str:
    """Return the text of a part, or of a list of parts."""
    if isinstance(part, str):
        return part
    if isinstance(part, list):
        return "".join(map(_join_text, part))
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


def read_response(payload: Any, request: CompletionRequest) -> Completion:
    """Normalise a whole answer that is already parsed.

    Raises MalformedAnswerError and ProviderFailureError.
    """
    payload = require_success(payload)
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
            for name in REASONING_FIELDS:
                choice["message"].pop(name, None)
    if "annotations" not in read[0]["message"] and (notes := read_citations(payload)):
        read[0]["message"]["annotations"] = notes
    return Completion(
        choices=read,
        usage=read_answer_usage(find_usage(payload), request),
        upstream_id=text_field(payload, "id"),
        upstream_model=text_field(payload, "model"),
        system_fingerprint=text_field(payload, "system_fingerprint"),
        service_tier=text_field(payload, "service_tier"),
    )


def require_success(payload: Any) -> Json:
    """Return `payload` if it is an object that reports no failure.

    Raises ProviderFailureError for a failure, and MalformedAnswerError for anything else.
    """
    if isinstance(payload, list) and payload and isinstance(payload[0], dict):
        payload = payload[0]  # Google wraps its errors in an array
    if not isinstance(payload, dict):
        raise MalformedAnswerError("the provider's answer is not a JSON object")
    if payload.get("error"):
        raise ProviderFailureError(read_reported_error(payload))
    choices = payload.get("choices")
    if not choices and (payload.get("object") == "error" or payload.get("detail")):
        raise ProviderFailureError(read_reported_error(payload))
    for choice in choices if isinstance(choices, list) else ():
        # Azure's `content_filter_result.error` is deeper and means that nothing was filtered.
        if isinstance(choice, dict) and choice.get("error"):
            raise ProviderFailureError(read_reported_error(choice))
    return payload


def read_answer_usage(raw: object, request: CompletionRequest) -> Usage | None:
    """Return the usage in an object, by the quirks of the vendor."""
    return read_usage(raw, reasoning_apart=OpenAiQuirk.REASONING_APART in request.quirks)


def id_seed(payload: Json, request: CompletionRequest) -> str:
    """Return the seed of generated tool call ids. Each turn of a conversation has another."""
    messages = request.body.get("messages")
    turn = len(messages) if isinstance(messages, list) else 0
    return f"{text_field(payload, 'id') or ''}/{turn}"


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
        "native_finish_reason": read_native_reason(choice),
    }
    if isinstance(logprobs := choice.get("logprobs"), dict):
        normalised["logprobs"] = logprobs
    return normalised
