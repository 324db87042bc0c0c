"""A conversation in OpenAI's shape, without what Mistral's chat API would refuse.

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
"""Said between a tool's result and a user, who may not speak right after it."""


def chat_messages(given: Any) -> list[Json]:
    """Return messages Mistral accepts."""
    messages: list[Json] = []
    for message in as_objects(with_matched_calls(given, nine_character_id)):
        if message.get("role") == "user" and messages and messages[-1]["role"] == "tool":
            messages.append(_BRIDGE)
        messages.append(_message(message))
    if messages and messages[-1]["role"] == "assistant" and not messages[-1].get("tool_calls"):
        messages[-1] = {**messages[-1], "prefix": True}  # the answer begun for the model
    return messages


def _message(message: Json) -> Json:
    names = _FIELDS.get(str(message.get("role")), _PLAIN)
    told = {name: message[name] for name in names if message.get(name) is not None}
    told.setdefault("role", "user")
    if "tool_calls" in told:  # without the signatures another provider put into its calls
        told["tool_calls"] = [
            {name: value for name, value in call.items() if name != "extra_content"}
            for call in as_objects(told["tool_calls"])
        ]
    if isinstance(parts := told.get("content"), list):
        told["content"] = [_part(part) for part in parts]
    elif "content" not in told:
        told["content"] = ""
    return told


def _part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    media = read_media(part)
    if media is not None and part["type"] != "image_url" and (told := _attachment(media)):
        return told
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
