"""Reading of a whole Converse answer (API_runtime_Converse, "Response Syntax")."""

from typing import Any

from broker.completion import Completion, CompletionRequest, Json, Usage
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.bedrock.messages import read_reasoning_detail
from workers.adapters.choices import finish_reason, turn_seed
from workers.adapters.errors import read_reported_error
from workers.adapters.json_shapes import as_object, as_objects, as_text, text_field
from workers.adapters.tool_calls import read_calls


def read_usage(usage: Any) -> Usage | None:
    """Return the usage in a `usage` object, or None where it counts nothing."""
    if not isinstance(usage, dict):
        return None
    given, output = _count(usage, "inputTokens"), _count(usage, "outputTokens")
    if given is None and output is None:
        return None
    return Usage(
        input=given,
        cache_read=_count(usage, "cacheReadInputTokens"),
        cache_write=_count(usage, "cacheWriteInputTokens"),
        output=output,
    )


def _count(usage: Json, name: str) -> int | None:
    value = usage.get(name)
    return value if isinstance(value, int) and value >= 0 else None


def annotation(citation: Any, start: int, end: int) -> Json | None:
    """Return the `url_citation` of a passage, or None. A source without a URL has its name."""
    citation = as_object(citation)
    locations = as_objects(list(as_object(citation.get("location")).values()))
    title = as_text(citation.get("title"))
    names = [
        *(as_text(location.get("url")) for location in locations),
        as_text(citation.get("source")),
        title,
    ]
    url = next(filter(None, names), None)
    if url is None:
        return None
    cited: Json = {
        "url": url,
        "title": title or url,
        "start_index": start,
        "end_index": end,
    }
    return {"type": "url_citation", "url_citation": cited}


def read_response(payload: Any, request: CompletionRequest) -> Completion:
    """Normalise a whole answer that is already parsed.

    Raises MalformedAnswerError and ProviderFailureError.
    """
    message = require_success(payload)
    read = _AnswerMessage(message.get("content"))
    native = text_field(payload, "stopReason")
    calls = read_calls(read.calls, turn_seed(request))
    choice = {
        "index": 0,
        "message": read.message(calls),
        "finish_reason": finish_reason(native, called=bool(calls)),
        "native_finish_reason": native,
    }
    return Completion(
        choices=[choice],
        usage=read_usage(payload.get("usage")),
        service_tier=service_tier(payload),
    )


def service_tier(payload: Json) -> str | None:
    return text_field(as_object(payload.get("serviceTier")), "type")


def own_call(use: Any) -> Json | None:
    """Return a tool use of a caller's tool, or None. `server_tool_use` ran inside Bedrock."""
    return use if isinstance(use, dict) and use.get("type") != "server_tool_use" else None


def image_part(form: Any, data: str) -> Json:
    """Return a generated image in OpenRouter's shape."""
    return {
        "type": "image_url",
        "image_url": {"url": f"data:image/{form or 'png'};base64,{data}"},
    }


def require_success(payload: Any) -> Json:
    """Return the message of an answer that reports no failure.

    Raises ProviderFailureError for a failure, and MalformedAnswerError for anything else.
    """
    if not isinstance(payload, dict):
        raise MalformedAnswerError("the provider's answer is not a JSON object")
    message = as_object(payload.get("output")).get("message")
    if isinstance(message, dict):
        return message
    if isinstance(
        payload.get("Output"), dict
    ):  # AWS's front end, which answers 200 to invalid requests
        raise ProviderFailureError(read_reported_error(payload["Output"]))
    if payload.get("message") or payload.get("Message") or payload.get("__type"):
        raise ProviderFailureError(read_reported_error(payload))
    raise MalformedAnswerError("the provider's answer has no message")


class _AnswerMessage:
    """Collector of the content blocks of a message."""

    def __init__(self, content: Any) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._details: list[Json] = []
        self._notes: list[Json] = []
        self._images: list[Json] = []
        self.calls: list[Json] = []
        for index, block in enumerate(content if isinstance(content, list) else ()):
            self._read(as_object(block), index)

    def message(self, calls: list[Json]) -> Json:
        """Return OpenAI's message. Leave out empty fields."""
        text = "".join(self._texts)
        read: Json = {
            "role": "assistant",
            "content": text or (None if calls else ""),
            "refusal": None,
        }
        found = {
            "reasoning": "".join(self._thoughts),
            "reasoning_details": self._details,
            "annotations": self._notes,
            "images": self._images,
            "tool_calls": calls,
        }
        return read | {name: value for name, value in found.items() if value}

    def _read(self, block: Json, index: int) -> None:
        if isinstance(text := block.get("text"), str):
            self._texts.append(text)
        elif use := own_call(block.get("toolUse")):
            function = {"name": use.get("name"), "arguments": use.get("input")}
            self.calls.append({"id": use.get("toolUseId"), "function": function})
        elif "reasoningContent" in block:
            self._read_reasoning(block["reasoningContent"], index)
        elif isinstance(cited := block.get("citationsContent"), dict):
            self._read_cited(cited)
        elif image := as_object(block.get("image")):
            data = as_text(as_object(image.get("source")).get("bytes"))
            self._images += [image_part(image.get("format"), data)] if data else []

    def _read_reasoning(self, content: Any, index: int) -> None:
        if entry := read_reasoning_detail(content, index):
            self._details.append(entry)
            self._thoughts.append(entry.get("text", ""))

    def _read_cited(self, cited: Json) -> None:
        start = sum(map(len, self._texts))
        text = "".join(as_text(piece.get("text")) for piece in as_objects(cited.get("content")))
        self._texts.append(text)
        for citation in as_objects(cited.get("citations")):
            if note := annotation(citation, start, start + len(text)):
                self._notes.append(note)
