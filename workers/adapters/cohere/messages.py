"""Translates a conversation into Cohere's v2 messages and documents.

Rules: https://docs.cohere.com/reference/chat, `messages` and `documents`. A document inside a tool
message stays there; one inside a user message has no place there and joins the request's.
"""

from typing import Any

from broker.completion import Json
from workers.adapters.json_shapes import held, objects, text_of
from workers.adapters.told_reasoning import history_reasoning
from workers.adapters.tool_calls import argument_text
from workers.adapters.tool_history import kept_id, with_matched_calls

_ROLES = {"developer": "system", "system": "system", "user": "user", "tool": "tool"}


def chat_messages(given: Any) -> tuple[list[Json], list[Json]]:
    """Return the messages, and the documents found in user messages."""
    messages: list[Json] = []
    documents: list[Json] = []
    for message in objects(with_matched_calls(given, kept_id)):
        role = message.get("role")
        if role == "assistant":
            messages.append(_assistant(message))
            continue
        content = message.get("content")
        if role == "user" and isinstance(content, list):
            documents += [part["document"] for part in content if _is_document(part)]
            content = [part for part in content if not _is_document(part)]
        told: Json = {"role": _ROLES.get(str(role), "user"), "content": _content(content)}
        if role == "tool":
            told["tool_call_id"] = message["tool_call_id"]
        messages.append(told)
    return messages, documents


def _assistant(message: Json) -> Json:
    said: Json = {"role": "assistant"}
    if content := _content(message.get("content")):
        said["content"] = content
    calls = [_call(call) for call in objects(message.get("tool_calls"))]
    if not calls:
        return {"content": "", **said}
    said["tool_calls"] = calls
    # What Cohere planned before a call came to the caller as reasoning, and goes back as the plan.
    if plan := text_of(message.get("tool_plan")) or history_reasoning(message):
        said["tool_plan"] = plan
    return said


def _call(call: Json) -> Json:
    kind, holder = held(call)
    arguments = argument_text(holder.get("arguments" if kind == "function" else "input")) or "{}"
    return {
        "id": call["id"],
        "type": "function",
        "function": {"name": holder.get("name"), "arguments": arguments},
    }


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    return [_part(part) for part in content]


def _part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    kind = part.get("type")
    if kind == "text":
        return {"type": "text", "text": part.get("text", "")}  # without cache markers
    if kind == "image_url":
        return {"type": "image_url", "image_url": _image(part.get("image_url"))}
    return part


def _image(image: Any) -> Json:
    given = image if isinstance(image, dict) else {"url": image}
    return {name: given[name] for name in ("url", "detail") if given.get(name)}


def _is_document(part: Any) -> bool:
    """Whether a part is a document in Cohere's shape; files are text by the time they get here."""
    return isinstance(part, dict) and part.get("type") == "document" and bool(part.get("document"))
