"""Translates a conversation into Converse's messages, whose roles alternate.

System and developer messages become the `system` blocks, tool messages become results inside a
user message, and neighbours of the same role become one message.
"""

from typing import Any

import orjson

from broker.completion import Json
from workers.adapters.bedrock.cache_points import cache_point
from workers.adapters.bedrock.media import DocumentNames
from workers.adapters.bedrock.parts import blocks_of
from workers.adapters.bedrock.reasoning import reasoning_blocks
from workers.adapters.json_shapes import held, objects, text_of
from workers.adapters.tool_history import bounded_id, with_matched_calls

_DOCUMENT_PROMPT = "See the attached document."


class Conversation:
    """`system` and `messages` of a Converse request."""

    def __init__(self, given: Any) -> None:
        self.system: list[Json] = []
        self.messages: list[Json] = []
        self._names = DocumentNames()
        for message in objects(with_matched_calls(given, bounded_id)):
            self._add(message)
        if not self.messages and self.system:
            # Converse wants a user to begin; OpenAI takes instructions alone.
            self.messages = [{"role": "user", "content": self.system}]
            self.system = []
        self._round_off()

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

    def _round_off(self) -> None:
        """See to what Converse demands of whole messages."""
        for message in self.messages:
            content = message["content"]
            if any("document" in block for block in content) and not _has_text(content):
                content.append({"text": _DOCUMENT_PROMPT})  # a document needs a text beside it
        if self.messages and self.messages[-1]["role"] == "assistant":
            last = self.messages[-1]["content"]
            if "text" in last[-1]:
                # An answer begun for the model must not end in white space.
                last[-1] = {"text": last[-1]["text"].rstrip()}


def _calls(message: Json) -> list[Json]:
    return [
        {"toolUse": {"toolUseId": call["id"], "name": holder["name"], "input": _input(text)}}
        for call in objects(message.get("tool_calls"))
        for kind, holder in [held(call)]
        for text in [holder.get("arguments" if kind == "function" else "input")]
        if text_of(holder.get("name"))
    ]


def _input(arguments: Any) -> Json:
    """Return arguments as the object Converse wants, whatever a model once wrote."""
    if isinstance(arguments, dict):
        return arguments
    try:
        parsed = orjson.loads(arguments or "{}")
    except (orjson.JSONDecodeError, TypeError):
        parsed = None
    return parsed if isinstance(parsed, dict) else {"arguments": str(arguments)}


def _has_text(content: list[Json]) -> bool:
    return any("text" in block for block in content)
