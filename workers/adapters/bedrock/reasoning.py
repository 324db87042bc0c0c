"""Reasoning blocks: Converse's `reasoningContent` and OpenRouter's `reasoning_details`.

Signed reasoning must go back exactly as it came, else Claude refuses to go on with a tool loop
(API_runtime_ReasoningContentBlock). Unsigned reasoning, and that of other providers, stays here.
"""

from typing import Any

from broker.completion import Json
from workers.adapters.json_shapes import an_object, objects, text_of

FORMAT = "anthropic-claude-v1"
"""OpenRouter's name for the signatures of Claude, which is who signs on Bedrock."""


def detail(content: Any, index: int) -> Json | None:
    """Return a block, or a piece of a streamed one, as a `reasoning_details` entry."""
    content = an_object(content)
    text = an_object(content.get("reasoningText")) or content
    entry: Json = {"format": FORMAT, "index": index}
    if isinstance(redacted := content.get("redactedContent"), str) and redacted:
        return {"type": "reasoning.encrypted", "data": redacted, **entry}
    said = {n: text[n] for n in ("text", "signature") if isinstance(text.get(n), str) and text[n]}
    return {"type": "reasoning.text", **said, **entry} if said else None


def reasoning_blocks(message: Json) -> list[Json]:
    """Return the blocks of an assistant message whose reasoning is sent back."""
    ours = [one for one in objects(message.get("reasoning_details")) if _is_ours(one)]
    blocks: list[Json] = []
    open_index: Any = None
    for entry in ours:
        if entry.get("type") == "reasoning.encrypted":
            blocks.append({"redactedContent": entry.get("data")})
            open_index = None
            continue
        index = entry.get("index")
        if index is None or index != open_index:
            blocks.append({"reasoningText": {"text": ""}})
            open_index = index
        _extend(blocks[-1]["reasoningText"], entry)  # a stream's pieces may come back in pieces
    return [{"reasoningContent": block} for block in blocks if _can_go_back(block)]


def _extend(text: Json, entry: Json) -> None:
    text["text"] += text_of(entry.get("text"))
    if entry.get("signature"):
        text["signature"] = entry["signature"]


def _is_ours(entry: Json) -> bool:
    if entry.get("format", FORMAT) not in (FORMAT, None):
        return False
    return entry.get("type") in ("reasoning.text", "reasoning.encrypted")


def _can_go_back(block: Json) -> bool:
    return bool(block.get("redactedContent") or block.get("reasoningText", {}).get("signature"))
