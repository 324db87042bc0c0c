"""Translation of messages into those that Mistral's chat API accepts.

Rules: https://docs.mistral.ai/api/, "Chat completion", `messages`.
"""

from typing import Any

from broker.completion import Json
from workers.adapters.json_shapes import as_objects
from workers.adapters.media import AttachedMedia, MediaKind, read_media
from workers.adapters.tool_history import nine_character_id, with_matched_calls

_FIELDS = {
    "assistant": ("role", "content", "tool_calls", "prefix"),
    "tool": ("role", "content", "tool_call_id", "name"),
}
_PLAIN = ("role", "content")
_BRIDGE: Json = {"role": "assistant", "content": "OK"}
"""Message between a tool's result and a user, which may not follow each other directly."""


def chat_messages(given: Any) -> list[Json]:
    """Return the messages in the form that Mistral accepts."""
    messages: list[Json] = []
    for message in as_objects(with_matched_calls(given, nine_character_id)):
        if message.get("role") == "user" and messages and messages[-1]["role"] == "tool":
            messages.append(_BRIDGE)
        messages.append(_message(message))
    if messages and messages[-1]["role"] == "assistant" and not messages[-1].get("tool_calls"):
        messages[-1] = {**messages[-1], "prefix": True}  # a prefill of the answer
    return messages


def _message(message: Json) -> Json:
    names = _FIELDS.get(str(message.get("role")), _PLAIN)
    translated = {name: message[name] for name in names if message.get(name) is not None}
    translated.setdefault("role", "user")
    if "tool_calls" in translated:  # without the signatures that another provider put into them
        translated["tool_calls"] = [
            {name: value for name, value in call.items() if name != "extra_content"}
            for call in as_objects(translated["tool_calls"])
        ]
    if isinstance(parts := translated.get("content"), list):
        translated["content"] = [_part(part) for part in parts]
    elif "content" not in translated:
        translated["content"] = ""
    return translated


def _part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    media = read_media(part)
    if media is not None and part["type"] != "image_url" and (translated := _attachment(media)):
        return translated
    return {name: value for name, value in part.items() if name != "cache_control"}


def _attachment(media: AttachedMedia) -> Json | None:
    """Return a file or audio in Mistral's form."""
    address = media.url or f"data:{media.mime or 'application/pdf'};base64,{media.data}"
    if media.medium is MediaKind.IMAGE:
        return {"type": "image_url", "image_url": address}
    if media.medium is MediaKind.AUDIO:
        return {"type": "input_audio", "input_audio": media.url or media.data}
    if media.medium is MediaKind.VIDEO:
        return None
    document: Json = {"type": "document_url", "document_url": address}
    return {**document, "document_name": media.title} if media.title else document
