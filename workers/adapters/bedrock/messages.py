"""Translation of a chat body's messages into Converse's, whose roles alternate."""

from typing import Any

import orjson

from broker.completion import Json
from workers.adapters.bedrock.media import DocumentNames, media_block, unsupported
from workers.adapters.json_shapes import as_object, as_objects, as_text, read_arguments, read_call
from workers.adapters.media import read_media
from workers.adapters.tool_history import sixty_four_character_id, with_matched_calls

_TTLS = ("5m", "1h")


def cache_point(holder: Json) -> Json | None:
    """Return the cache point of a part, message or tool with `cache_control`, or None."""
    control = holder.get("cache_control")
    if not isinstance(control, dict):
        return None
    point: Json = {"type": "default"}
    if control.get("ttl") in _TTLS:
        point["ttl"] = control["ttl"]
    return {"cachePoint": point}


FORMAT = "anthropic-claude-v1"
"""OpenRouter's format name for the signatures of Claude, the models that sign on Bedrock."""


def read_reasoning_detail(content: Any, index: int) -> Json | None:
    """Return a reasoning block, or a streamed piece of one, as a `reasoning_details` entry."""
    content = as_object(content)
    text = as_object(content.get("reasoningText")) or content
    entry: Json = {"format": FORMAT, "index": index}
    if isinstance(redacted := content.get("redactedContent"), str) and redacted:
        return {"type": "reasoning.encrypted", "data": redacted, **entry}
    fields = {n: text[n] for n in ("text", "signature") if isinstance(text.get(n), str) and text[n]}
    return {"type": "reasoning.text", **fields, **entry} if fields else None


def reasoning_blocks(message: Json) -> list[Json]:
    """Return the reasoning blocks of an assistant message that can be sent back."""
    ours = [one for one in as_objects(message.get("reasoning_details")) if _is_ours(one)]
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
        _extend(blocks[-1]["reasoningText"], entry)  # clients may send back the pieces of a stream
    return [{"reasoningContent": block} for block in blocks if _can_go_back(block)]


def _extend(text: Json, entry: Json) -> None:
    text["text"] += as_text(entry.get("text"))
    if entry.get("signature"):
        text["signature"] = entry["signature"]


def _is_ours(entry: Json) -> bool:
    if entry.get("format", FORMAT) not in (FORMAT, None):
        return False
    return entry.get("type") in ("reasoning.text", "reasoning.encrypted")


def _can_go_back(block: Json) -> bool:
    return bool(block.get("redactedContent") or block.get("reasoningText", {}).get("signature"))


def blocks_of(content: Any, names: DocumentNames) -> list[Json]:
    """Return the blocks and cache points of a content. Drop blank texts, which are refused."""
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
        raise unsupported(f"content of type {kind!r}")
    return media_block(media, names)


_DOCUMENT_PROMPT = "See the attached document."


class BedrockConversation:
    """The `system` and `messages` of a Converse request."""

    def __init__(self, given: Any) -> None:
        self.system: list[Json] = []
        self.messages: list[Json] = []
        self._names = DocumentNames()
        for message in as_objects(with_matched_calls(given, sixty_four_character_id)):
            self._add(message)
        if not self.messages and self.system:
            # Converse requires a user message first; OpenAI accepts instructions alone.
            self.messages = [{"role": "user", "content": self.system}]
            self.system = []
        self._complete()

    def _add(self, message: Json) -> None:
        role = message.get("role")
        if role in ("system", "developer"):
            self.system += self._blocks(message)
        elif role == "assistant":
            self._append("assistant", [*reasoning_blocks(message), *self._blocks(message)])
            self._append("assistant", _calls(message))
        elif role == "tool":
            self._append("user", self._result(message))
        else:
            self._append("user", self._blocks(message))

    def _blocks(self, message: Json) -> list[Json]:
        blocks = blocks_of(message.get("content"), self._names)
        marker = cache_point(message)
        return [*blocks, marker] if marker and blocks else blocks

    def _result(self, message: Json) -> list[Json]:
        content = blocks_of(message.get("content"), self._names)
        markers = [block for block in content if "cachePoint" in block]
        result = {
            "toolUseId": message["tool_call_id"],
            "content": [block for block in content if "cachePoint" not in block],
        }
        return [{"toolResult": result}, *markers]

    def _append(self, role: str, blocks: list[Json]) -> None:
        if not blocks:
            return
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": role, "content": blocks})

    def _complete(self) -> None:
        """Fit whole messages to Converse's rules."""
        for message in self.messages:
            content = message["content"]
            if any("document" in block for block in content) and not _has_text(content):
                content.append({"text": _DOCUMENT_PROMPT})  # required beside a document
        if self.messages and self.messages[-1]["role"] == "assistant":
            last = self.messages[-1]["content"]
            if "text" in last[-1]:
                # A prefill must not end in white space.
                last[-1] = {"text": last[-1]["text"].rstrip()}


def _calls(message: Json) -> list[Json]:
    return [
        {"toolUse": {"toolUseId": call["id"], "name": holder["name"], "input": _input(text)}}
        for call in as_objects(message.get("tool_calls"))
        for kind, holder in [read_call(call)]
        for text in [read_arguments(kind, holder)]
        if as_text(holder.get("name"))
    ]


def _input(arguments: Any) -> Json:
    """Return a call's arguments as an object, which this wire requires."""
    if isinstance(arguments, dict):
        return arguments
    try:
        parsed = orjson.loads(arguments or "{}")
    except (orjson.JSONDecodeError, TypeError):
        parsed = None
    return parsed if isinstance(parsed, dict) else {"arguments": str(arguments)}


def _has_text(content: list[Json]) -> bool:
    return any("text" in block for block in content)
