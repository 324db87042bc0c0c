"""Attachments of tool results, for vendors whose tool messages take text only.

OpenAI's reference says of the content parts of a tool message: "only text is supported".
"""

from collections.abc import Iterable
from typing import Any

from broker.completion import Json

_MEDIA = frozenset({"image_url", "input_audio", "video_url", "file"})
_NOTE = "The result is attached to the next message of the user."


def move_result_media(messages: Iterable[Any]) -> list[Any]:
    """Return the messages with attachments of tool results in a user message after the results."""
    moved: list[Any] = []
    waiting: list[Json] = []
    for message in messages:
        is_result = isinstance(message, dict) and message.get("role") == "tool"
        if waiting and not is_result:
            moved.append({"role": "user", "content": waiting})
            waiting = []
        parts = message.get("content") if is_result else None
        media = [part for part in parts if _is_media(part)] if isinstance(parts, list) else []
        if not media:
            moved.append(message)
            continue
        texts = [part for part in parts or () if not _is_media(part)]
        moved.append({**message, "content": texts or _NOTE})
        waiting += media
    return [*moved, {"role": "user", "content": waiting}] if waiting else moved


def _is_media(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in _MEDIA
