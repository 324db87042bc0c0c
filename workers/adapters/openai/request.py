"""Build the body of an OpenAI chat-completions request, a vendor's quirks applied."""

from typing import Any

from broker.completion import CompletionRequest, Json
from broker.requests.hints import HINTS, QUIRKS
from workers.adapters.base import read_stop_sequences, refuse_rare_formats
from workers.adapters.openai.quirks import OpenAiQuirk
from workers.adapters.openai.tool_media import move_result_media
from workers.adapters.reasoning import read_history_reasoning, read_reasoning_options
from workers.adapters.tool_history import nine_character_id, unrestricted_id, with_matched_calls

_SERVER_TOOLS = ("max_tool_calls", "stop_server_tools_when", "deferred_tools")
"""Limits of OpenRouter's server tools, without meaning for other vendors."""

_HINTS = ("image_config", "prompt_cache_options")
"""Options that other vendors have in another form or not at all."""

_FOUR = 4
_DEFERRED = "defer_loading"
_TIERS = {"fast": "priority", "ultrafast": None}
"""OpenRouter's own service tiers, with OpenAI's name; None where no vendor has it."""


def fit_fields(body: Json, quirks: frozenset[str]) -> None:
    """Remove the fields from a body, in place, that the vendor does not accept.

    Raises ProviderFailureError for a field that cannot be left out.
    """
    if OpenAiQuirk.OPENROUTER_FIELDS not in quirks:
        _drop(body)
        if OpenAiQuirk.GRAMMAR not in quirks:
            refuse_rare_formats(body)
    if QUIRKS.isdisjoint(quirks):
        for name in HINTS:
            body.pop(name, None)
    if OpenAiQuirk.FOUR_STOPS in quirks:
        read_stop_sequences(body, _FOUR)


def _drop(body: Json) -> None:
    """Drop the fields that only OpenRouter accepts. Translate those with another name."""
    for name in (*_SERVER_TOOLS, *_HINTS):
        body.pop(name, None)
    tier = body.get("service_tier")
    if isinstance(tier, str) and tier in _TIERS:
        _set(body, "service_tier", _TIERS[tier])
    if body.get("modalities") == ["text"]:
        del body["modalities"]  # the default, and few vendors accept the field
    if body.get("store") is not True:
        body.pop("metadata", None)  # Waybill keeps it; OpenAI refuses it without `store`
    if isinstance(tools := body.get("tools"), list):
        body["tools"] = [_without_deferral(tool) for tool in tools]


def _set(body: Json, name: str, value: Any) -> None:
    if value is None:
        del body[name]
    else:
        body[name] = value


def _without_deferral(tool: Any) -> Any:
    """Return a tool without OpenRouter's flag, on itself and on its function."""
    if not isinstance(tool, dict):
        return tool
    kept = {name: value for name, value in tool.items() if name != _DEFERRED}
    if isinstance(function := kept.get("function"), dict) and _DEFERRED in function:
        kept["function"] = {name: v for name, v in function.items() if name != _DEFERRED}
    return kept


_MARK = "cache_control"
_MARKS = frozenset({_MARK, "citations", "context"})
"""Fields of parts and tools that only Anthropic's models read."""

_ANSWER_ONLY = ("reasoning", "reasoning_details", "reasoning_content", "annotations", "images")
"""Fields of an assistant message in our answers that strict vendors refuse in a request."""


def build_body(request: CompletionRequest, quirks: frozenset[str]) -> Json:
    """Return the body to send. `request.body` is not changed."""
    body = {**request.body, "model": request.model}
    set_streaming(body, stream=request.stream, quirks=quirks)
    if OpenAiQuirk.MAX_TOKENS in quirks:
        _rename(body, "max_completion_tokens", "max_tokens")
    elif OpenAiQuirk.MAX_COMPLETION_TOKENS in quirks:
        _rename(body, "max_tokens", "max_completion_tokens")
    if OpenAiQuirk.RANDOM_SEED in quirks:
        _rename(body, "seed", "random_seed")
    if OpenAiQuirk.REASONING_OBJECT not in quirks:
        _set_reasoning(body, quirks)
    fit_fields(body, quirks)
    if not body.get("tools"):  # an empty list, and a choice from nothing, are refused
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            body.pop(name, None)
    if OpenAiQuirk.CACHE_CONTROL not in quirks:
        _drop_cache_marks(body)
    if isinstance(body.get("messages"), list):
        messages = _with_tool_calls(body, quirks)
        if OpenAiQuirk.OPENROUTER_FIELDS not in quirks:
            messages = move_result_media(messages)
        body["messages"] = [_message(message, quirks) for message in messages]
    return body


def _with_tool_calls(body: Json, quirks: frozenset[str]) -> list[Any]:
    """Return the messages with tool calls in the vendor's form.

    A request with OpenAI's older `functions` keeps its history in that form, except for vendors
    that require short ids, which never had it.
    """
    if OpenAiQuirk.SHORT_TOOL_IDS in quirks:
        return with_matched_calls(body["messages"], nine_character_id)
    given: list[Any] = body["messages"]
    return given if body.get("functions") else with_matched_calls(given, unrestricted_id)


def _drop_cache_marks(body: Json) -> None:
    """Remove the cache markers from the body, its tools, its messages and their parts."""
    body.pop(_MARK, None)
    for name in ("messages", "tools"):
        if isinstance(entries := body.get(name), list):
            body[name] = [_without_mark(_without_part_marks(entry)) for entry in entries]


def _without_mark(entry: Any) -> Any:
    if not isinstance(entry, dict) or _MARKS.isdisjoint(entry):
        return entry
    return {name: value for name, value in entry.items() if name not in _MARKS}


def _without_part_marks(entry: Any) -> Any:
    """Return a message or tool whose parts have no cache markers."""
    if not isinstance(entry, dict):
        return entry
    for name in ("content", "tool_calls"):
        if isinstance(parts := entry.get(name), list):
            entry = {**entry, name: [_without_mark(part) for part in parts]}
    if isinstance(function := entry.get("function"), dict):
        entry = {**entry, "function": _without_mark(function)}
    return entry


def set_streaming(body: Json, *, stream: bool, quirks: frozenset[str]) -> None:
    """Request a stream with its usage, or no stream."""
    options = body.pop("stream_options", None)
    if not stream:
        body.pop("stream", None)
        return
    body["stream"] = True
    if OpenAiQuirk.NO_STREAM_OPTIONS not in quirks:
        given = options if isinstance(options, dict) else {}
        body["stream_options"] = {**given, "include_usage": True}


def _rename(body: Json, old: str, new: str) -> None:
    """Rename a field. A value under the new name is the vendor's own and stays."""
    value = body.pop(old, None)
    if value is not None and body.get(new) is None:
        body[new] = value


def _set_reasoning(body: Json, quirks: frozenset[str]) -> None:
    """Turn reasoning on or off with the vendor's field. A field of its own stays as it is."""
    requested = read_reasoning_options(body)
    body.pop("include_reasoning", None)
    reasoning = body.pop("reasoning", None)
    effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
    if effort is not None:
        body.setdefault("reasoning_effort", effort)
    if requested.wanted is None:
        return
    off = not requested.wanted
    if off:
        body.pop("reasoning_effort", None)
    if OpenAiQuirk.REASONING_CONTENT in quirks:
        body.setdefault("thinking", {"type": "disabled" if off else "enabled"})
    elif OpenAiQuirk.ENABLE_THINKING in quirks:
        body.setdefault("enable_thinking", requested.wanted)
    elif OpenAiQuirk.TEMPLATE_THINKING in quirks:
        # Each family's template has its own name for it, and ignores the other.
        switch = {"enable_thinking": requested.wanted, "thinking": requested.wanted}
        body.setdefault("chat_template_kwargs", switch)
    elif off:
        body["reasoning_effort"] = "none"


def _message(message: Any, quirks: frozenset[str]) -> Any:
    if not isinstance(message, dict):
        return message
    role = message.get("role")
    if role == "assistant":
        message = _assistant(message, quirks)
    elif role == "developer" and OpenAiQuirk.NO_DEVELOPER_ROLE in quirks:
        message = {**message, "role": "system"}
    if OpenAiQuirk.TEXT_CONTENT in quirks:
        message = _join_text(message)
    return message


def _assistant(message: Json, quirks: frozenset[str]) -> Json:
    if OpenAiQuirk.REASONING_OBJECT in quirks:
        sent = dict(message)
    else:
        sent = {name: value for name, value in message.items() if name not in _ANSWER_ONLY}
    if OpenAiQuirk.REASONING_CONTENT in quirks and (reasoning := read_history_reasoning(message)):
        sent["reasoning_content"] = reasoning
    if sent.get("refusal", "") is None:
        del sent["refusal"]
    if isinstance(audio := sent.get("audio"), dict) and "id" in audio:
        sent["audio"] = {"id": audio["id"]}
    return sent


def _join_text(message: Json) -> Json:
    parts = message.get("content")
    if not isinstance(parts, list) or not parts:
        return message
    texts = [part.get("text") for part in parts if _is_text(part)]
    if len(texts) != len(parts):
        return message
    return {**message, "content": "\n".join(text for text in texts if isinstance(text, str))}


def _is_text(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") == "text"
