"""Translates the parts of a message's content into Converse's content blocks."""

from typing import Any

from broker.completion import Json
from workers.adapters.bedrock.cache_points import cache_point
from workers.adapters.bedrock.media import DocumentNames, media_block, unusable
from workers.adapters.media import read_media


def blocks_of(content: Any, names: DocumentNames) -> list[Json]:
    """Return the blocks of a content, cache points included; blank texts, refused, are dropped."""
    if isinstance(content, str):
        return [{"text": content}] if content.strip() else []
    blocks: list[Json] = []
    for part in content if isinstance(content, list) else ():
        block = _block(part, names)
        if block is None:
            continue
        blocks.append(block)
        if isinstance(part, dict) and (marker := cache_point(part)):
            blocks.append(marker)
    return blocks


def _block(part: Any, names: DocumentNames) -> Json | None:
    if isinstance(part, str):
        return {"text": part} if part.strip() else None
    if not isinstance(part, dict):
        return None
    kind = part.get("type")
    if kind is None:
        return part or None  # a block of Converse's own, e.g. `guardContent`
    if kind in ("text", "refusal"):
        text = part.get(kind)
        return {"text": text} if isinstance(text, str) and text.strip() else None
    media = read_media(part)
    if media is None:
        raise unusable(f"content of type {kind!r}")
    return media_block(media, names)
