"""Translates a conversation into Converse's messages, whose roles alternate.

System and developer messages become the `system` blocks, tool messages become results inside a
user message, and neighbours of the same role become one message.
"""

import re
from hashlib import blake2b
from typing import Any

import orjson

from broker.completion import Json
from workers.adapters.bedrock.cache_points import cache_point
from workers.adapters.bedrock.media import DocumentNames
from workers.adapters.bedrock.parts import blocks_of
from workers.adapters.bedrock.reasoning import reasoning_blocks
from workers.adapters.shapes import an_object, objects, text_of

_DOCUMENT_PROMPT = "See the attached document."
_TOOL_USE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Conversation:
    """`system` and `messages` of a Converse request."""

    def __init__(self, given: Any) -> None:
        self.system: list[Json] = []
        self.messages: list[Json] = []
        self._names = DocumentNames()
        for message in objects(given):
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
            "toolUseId": _tool_use_id(message.get("tool_call_id")),
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
        {"toolUse": {"toolUseId": _tool_use_id(call.get("id")), **_named(call["function"])}}
        for call in objects(message.get("tool_calls"))
        if text_of(an_object(call.get("function")).get("name"))
    ]


def _tool_use_id(given: Any) -> str:
    """Return an id Converse accepts: another provider's may have other letters or be too long."""
    if isinstance(given, str) and _TOOL_USE_ID.fullmatch(given):
        return given
    return f"tooluse_{blake2b(str(given).encode(), digest_size=12).hexdigest()}"


def _named(function: Json) -> Json:
    return {"name": function["name"], "input": _input(function.get("arguments"))}


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
