"""Content blocks: what they say, carry and weigh."""

from collections.abc import Iterator
from typing import Any, Final

import orjson

from workers.simulator.attachments import inline, linked
from workers.simulator.replies import count_tokens
from workers.simulator.requests import Attachment, AttachmentKind, Json

ATTACHMENT_TOKENS: Final = 85
CARRIERS: Final[dict[str, AttachmentKind]] = {"image": "image", "document": "document"}


def blocks_of(content: Any) -> list[Json]:
    """Return the blocks of a system prompt, a message or a tool result."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content or ())


def whole_prompt(call: Json) -> Iterator[Json]:
    """Return every block in the order in which Anthropic reads and caches them."""
    yield from call.get("tools") or ()
    yield from blocks_of(call.get("system"))
    for message in call["messages"]:
        yield from blocks_of(message["content"])


def text_of(blocks: list[Json]) -> str:
    return "\n".join(block["text"] for block in blocks if block.get("type") == "text")


def attachments_of(blocks: list[Json]) -> tuple[Attachment, ...]:
    return tuple(_attachment(block) for block in blocks if block["type"] in CARRIERS)


def weight(block: Json) -> int:
    """Return the tokens of a block; earlier thoughts are not counted."""
    match block.get("type"):
        case "text":
            return count_tokens(block["text"])
        case "image" | "document":
            return ATTACHMENT_TOKENS
        case "tool_result":
            return sum(map(weight, blocks_of(block.get("content"))))
        case "tool_use":
            return count_tokens(block["name"] + orjson.dumps(block["input"]).decode())
        case "thinking" | "redacted_thinking":
            return 0
    return count_tokens(orjson.dumps(block).decode())


def _attachment(block: Json) -> Attachment:
    source = block["source"]
    kind = CARRIERS[block["type"]]
    match source["type"]:
        case "base64":
            return inline(source["media_type"], source["data"])
        case "url":
            return linked(source["url"], kind)
        case "text":
            return Attachment(kind, source["media_type"], len(source["data"].encode()))
        case "file":
            return Attachment(kind, source["file_id"])
        case "content":
            return Attachment(kind, "content blocks")
    raise ValueError(source["type"])
