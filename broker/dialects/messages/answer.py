"""Rendering of a chat completion as a message."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from broker.completion import Json
from broker.dialects.base import DialectJob
from broker.dialects.messages import WIRE
from broker.dialects.messages.reasoning import render_blocks
from broker.ids import message_id
from broker.requests.data_uris import is_data_uri, read_data_uri
from broker.requests.native import read_fields, read_native

_STOP_REASONS = frozenset(
    {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"}
) | {"model_context_window_exceeded"}
"""Anthropic's own stop reasons, which its endpoints give."""

_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_TIERS = {"default": "standard"}
_EXTRA = ("container", "context_management", "stop_details")
"""Fields of a message that only Anthropic's endpoints give."""


def render_message(answer: Json, job: DialectJob) -> Json:
    """Return a chat completion as a message. `job` is the job that brought it."""
    choices: Sequence[Json] = answer.get("choices") or ()
    choice = choices[0] if choices else {}
    message: Json = choice.get("message") or {}
    native = read_native(choice, WIRE)
    content = native.get("content") or _render_content(message, is_shown=shows_thinking(job))
    return {
        **render_head(job, answer),
        "content": content,
        **render_end(choice, message.get("refusal")),
        "usage": render_usage(answer, choice),
    }


def render_head(job: DialectJob, answer: Json) -> Json:
    """Return the first fields of a message; `answer` is the completion or one of its chunks."""
    return {
        "id": message_id(job.id),
        "type": "message",
        "role": "assistant",
        "model": answer.get("model") or job.model,
        "provider": answer.get("provider"),
    }


def render_end(choice: Json, refusal: str | None) -> Json:
    """Return the stop reason of a choice, with the fields that stand beside it."""
    fields = read_fields(choice, WIRE)
    given, finish = choice.get("native_finish_reason"), choice.get("finish_reason")
    reason = given if given in _STOP_REASONS else _REASONS.get(str(finish), "end_turn")
    end: Json = {"stop_reason": reason, "stop_sequence": fields.get("stop_sequence")}
    if refusal:
        end["stop_details"] = {"type": "refusal", "category": None, "explanation": refusal}
    return end | {name: fields[name] for name in _EXTRA if fields.get(name) is not None}


def render_usage(answer: Json, choice: Json) -> Json:
    """Return Anthropic's usage of an answer or of its last chunk, with the `cost` in US dollars."""
    usage: Json = answer.get("usage") or {}
    details: Json = usage.get("prompt_tokens_details") or {}
    read, written = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
    given: Json = read_fields(choice, WIRE).get("usage") or {}
    tier = answer.get("service_tier")
    rendered = {
        **given,
        "input_tokens": max((usage.get("prompt_tokens") or 0) - read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.get("completion_tokens") or 0,
    }
    if "service_tier" not in rendered:
        rendered["service_tier"] = _TIERS.get(tier, tier) if isinstance(tier, str) else None
    if used := usage.get("server_tool_use"):
        rendered["server_tool_use"] = {**used, **(given.get("server_tool_use") or {})}
    return rendered | {name: usage[name] for name in ("cost", "is_byok") if name in usage}


def shows_thinking(job: DialectJob) -> bool:
    """Return whether the answer contains the text of the thinking."""
    thinking = job.body.get("thinking")
    return not (isinstance(thinking, dict) and thinking.get("display") == "omitted")


def render_citation(annotation: Json) -> Json | None:
    """Return the citation of a web page that another vendor's model used, or None."""
    noted = annotation.get("url_citation")
    if not isinstance(noted, dict):
        return None
    return {
        "type": "web_search_result_location",
        "url": noted.get("url"),
        "title": noted.get("title"),
        "cited_text": noted.get("content") or "",
        "encrypted_index": "",
    }


def render_image(image: Json) -> Json | None:
    """Return the block of a picture that a model made, or None."""
    held = image.get("image_url")
    url = held.get("url") if isinstance(held, Mapping) else held
    if not isinstance(url, str):
        return None
    if not is_data_uri(url):
        return {"type": "image", "source": {"type": "url", "url": url}}
    uri = read_data_uri(url)
    source = {"type": "base64", "media_type": uri.mime or "image/png", "data": uri.data}
    return {"type": "image", "source": source}


def read_input(arguments: str) -> Json:
    """Return the arguments of a call as an object, also where they are not one."""
    if not arguments.strip():
        return {}
    try:
        parsed: Any = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"arguments": arguments}


def read_called(call: Json) -> tuple[str, str]:
    """Return the name and the arguments in a call, or in a part of one."""
    held = call.get("function") or call.get("custom") or {}
    return held.get("name") or "", held.get("arguments") or held.get("input") or ""


def _render_content(message: Json, *, is_shown: bool) -> list[Json]:
    blocks = render_blocks(message, is_shown=is_shown)
    if text := message.get("content"):
        block: Json = {"type": "text", "text": text}
        if notes := message.get("annotations"):
            block["citations"] = [each for note in notes if (each := render_citation(note))] or None
        blocks.append(block)
    images: Sequence[Json] = message.get("images") or ()
    blocks += [shown for each in images if (shown := render_image(each))]
    for call in message.get("tool_calls") or ():
        name, arguments = read_called(call)
        called = {"id": call["id"], "name": name, "input": read_input(arguments)}
        blocks.append({"type": "tool_use", **called})
    return blocks
