"""Reading of a whole Messages answer, its citations and usage."""

from typing import Any

import orjson

from broker.completion import Completion, CompletionRequest, Json, Usage
from workers.adapters.anthropic.messages import FORMAT
from workers.adapters.anthropic.native import build_native
from workers.adapters.anthropic.tools import answers_by_tool
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.choices import finish_reason
from workers.adapters.errors import read_reported_error
from workers.adapters.json_shapes import text_field
from workers.adapters.openai.response import id_seed
from workers.adapters.reasoning import hides_reasoning
from workers.adapters.tool_calls import generate_id

_WEB = ("http://", "https://")


def read_citations(citations: Any, start: int, end: int) -> list[Json]:
    """Return the annotations of a text block at characters `start` to `end` of the content."""
    found = citations if isinstance(citations, list) else []
    return [note for citation in found if (note := _annotation(citation, start, end))]


def _annotation(citation: Any, start: int, end: int) -> Json | None:
    if not isinstance(citation, dict):
        return None
    url = citation.get("url") or citation.get("source")
    if not isinstance(url, str) or not url.startswith(_WEB):
        return None
    noted = {"url": url, "title": citation.get("title") or url, "start_index": start}
    noted["end_index"] = end
    if quoted := citation.get("cited_text"):
        noted["content"] = quoted
    return {"type": "url_citation", "url_citation": noted}


_TIERS = {"standard": "default"}


def merge_usage(earlier: Json, later: Any) -> Json:
    """Return the cumulative counts of a stream. Later counts replace earlier ones.

    Counts that a host leaves out later, or repeats as 0, stay.
    """
    if not isinstance(later, dict):
        return earlier
    return earlier | {name: value for name, value in later.items() if value or name not in earlier}


def read_usage(raw: Any) -> Usage | None:
    """Return the usage in a `usage` object, or None where it counts nothing."""
    if not isinstance(raw, dict):
        return None
    details = raw.get("output_tokens_details")
    output = _count(raw, "output_tokens")
    thought = _count(details, "thinking_tokens") if isinstance(details, dict) else None
    usage = Usage(
        input=_count(raw, "input_tokens"),
        cache_read=_count(raw, "cache_read_input_tokens"),
        cache_write=_count(raw, "cache_creation_input_tokens"),
        cache_write_1h=_read_hour_writes(raw.get("cache_creation")),
        output=output,
        reasoning=thought if thought is None or output is None else min(thought, output),
        searches=_searches(raw.get("server_tool_use")),
    )
    return None if usage == Usage() else usage


def _read_hour_writes(written: Any) -> int | None:
    """Return the tokens cached for an hour, which cost more than those cached for 5 minutes."""
    return _count(written, "ephemeral_1h_input_tokens") if isinstance(written, dict) else None


def _searches(used: Any) -> int | None:
    """Return the number of web searches, which are billed apiece. Page fetches are not."""
    return _count(used, "web_search_requests") if isinstance(used, dict) else None


def read_tier(raw: Any) -> str | None:
    """Return the service tier in OpenAI's words."""
    tier = raw.get("service_tier") if isinstance(raw, dict) else None
    return _TIERS.get(tier, tier) if isinstance(tier, str) else None


def _count(holder: Json, name: str) -> int | None:
    value = holder.get(name)
    return value if isinstance(value, int) and value >= 0 else None


_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def stop_reason(given: Any, *, called: bool) -> str:
    """Return OpenAI's finish reason. An answer by our own forced tool ends in `stop`."""
    reason = finish_reason(given, called=called)
    return "stop" if reason == "tool_calls" and not called else reason


def require_success(payload: Any) -> Json:
    """Return `payload` if it is an object that reports no failure.

    Raises ProviderFailureError for a failure, and MalformedAnswerError for anything else.
    """
    if not isinstance(payload, dict):
        raise MalformedAnswerError("the provider's answer is not a JSON object")
    error = payload.get("error")
    if error or payload.get("type") == "error":
        kind = error.get("type") if isinstance(error, dict) else None
        raise ProviderFailureError(read_reported_error(payload, _STATUSES.get(str(kind))))
    return payload


def build_text_detail(index: int, **fields: str) -> Json:
    """Return a reasoning detail with `text` or `signature`."""
    return {"type": "reasoning.text", **fields, "format": FORMAT, "index": index}


def build_encrypted_detail(index: int, data: str) -> Json:
    return {"type": "reasoning.encrypted", "data": data, "format": FORMAT, "index": index}


def refusal_text(holder: Json) -> str | None:
    """Return the model's explanation of a refusal, or None."""
    details = holder.get("stop_details")
    return text_field(details, "explanation") if isinstance(details, dict) else None


def input_text(value: Any) -> str:
    return orjson.dumps(value if value is not None else {}).decode()


def read_response(payload: Any, request: CompletionRequest) -> Completion:
    """Normalise a whole answer that is already parsed.

    Raises MalformedAnswerError and ProviderFailureError.
    """
    payload = require_success(payload)
    blocks = payload.get("content")
    if not isinstance(blocks, list):
        raise MalformedAnswerError("the provider's answer has no content")
    message = _AnswerMessage(request.body, id_seed(payload, request))
    given_blocks = [block for block in blocks if isinstance(block, dict)]
    for block in given_blocks:
        message.add(block)
    given = payload.get("stop_reason")
    choice: Json = {
        "index": 0,
        "message": message.read(refusal_text(payload)),
        "finish_reason": stop_reason(given, called=bool(message.calls)),
        "native_finish_reason": given,
        **build_native(request.body, given_blocks, payload),
    }
    return Completion(
        choices=[choice],
        usage=read_usage(payload.get("usage")),
        upstream_id=text_field(payload, "id"),
        upstream_model=text_field(payload, "model"),
        service_tier=read_tier(payload.get("usage")),
    )


class _AnswerMessage:
    """Collector of the blocks of one answer. It ignores blocks of server tools."""

    def __init__(self, body: Json, seed: str) -> None:
        self._body = body
        self._seed = seed
        self._hidden = hides_reasoning(body)
        self._text: str | None = None
        self._details: list[Json] = []
        self._notes: list[Json] = []
        self.calls: list[Json] = []

    def add(self, block: Json) -> None:
        kind = block.get("type")
        if kind == "text":
            start = len(self._text or "")
            self._text = (self._text or "") + (text_field(block, "text") or "")
            self._notes += read_citations(block.get("citations"), start, len(self._text))
        elif kind == "thinking":
            fields = {"text": text_field(block, "thinking") or ""}
            signature = text_field(block, "signature")
            fields |= {"signature": signature} if signature else {}
            self._details.append(build_text_detail(len(self._details), **fields))
        elif kind == "redacted_thinking":
            data = text_field(block, "data") or ""
            self._details.append(build_encrypted_detail(len(self._details), data))
        elif kind == "tool_use":
            self._call(block)

    def read(self, refusal: str | None) -> Json:
        """Return the message in OpenAI's shape."""
        message: Json = {"role": "assistant", "content": self._text, "refusal": refusal}
        if self._details and not self._hidden:
            if reasoning := "".join(detail.get("text", "") for detail in self._details):
                message["reasoning"] = reasoning
            message["reasoning_details"] = self._details
        if self._notes:
            message["annotations"] = self._notes
        if self.calls:
            message["tool_calls"] = self.calls
        return message

    def _call(self, block: Json) -> None:
        name = text_field(block, "name") or ""
        arguments = input_text(block.get("input"))
        if answers_by_tool(self._body, name):
            self._text = (self._text or "") + arguments
            return
        call_id = text_field(block, "id") or generate_id(self._seed, len(self.calls), name)
        function = {"name": name, "arguments": arguments}
        self.calls.append({"id": call_id, "type": "function", "function": function})
