"""The content blocks of a streamed Messages answer, each from its start to its stop.

Source: platform.claude.com/docs/en/build-with-claude/streaming (content block delta types).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from broker.completion import Json
from workers.adapters.anthropic.citations import read_citations
from workers.adapters.anthropic.response import encrypted_detail, input_text, text_detail
from workers.adapters.anthropic.structured import answers_by_tool
from workers.adapters.json_shapes import word
from workers.adapters.tool_calls import made_up_id


@dataclass(slots=True)
class Progress:
    """What the blocks of one answer must know of each other."""

    body: Json  # the caller's request
    seed: str  # made-up call ids derive from it
    hidden: bool  # whether reasoning is kept from the caller
    text: int = 0  # characters of content so far
    thoughts: int = 0  # reasoning blocks so far
    calls: int = 0  # tool calls so far


class Block(ABC):
    """Turns one block's events into deltas of OpenAI's shape; an empty one says nothing."""

    @abstractmethod
    def feed(self, delta: Json) -> Json:
        """Return what a delta adds; the block a stream starts with is fed as the first delta."""

    def stop(self) -> Json:
        """Return what the block's end adds."""
        return {}


class TextBlock(Block):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._start = progress.text
        self._citations: list[Any] = []

    def feed(self, delta: Json) -> Json:
        if citation := delta.get("citation"):
            self._citations.append(citation)
        elif isinstance(citations := delta.get("citations"), list):
            self._citations += citations
        text = word(delta, "text")
        if text is None:
            return {}
        self._progress.text += len(text)
        return {"content": text}

    def stop(self) -> Json:
        # Only now is it known how far the cited text reaches.
        notes = read_citations(self._citations, self._start, self._progress.text)
        self._citations = []
        return {"annotations": notes} if notes else {}


class ThinkingBlock(Block):
    def __init__(self, progress: Progress) -> None:
        self._hidden = progress.hidden
        self._index = progress.thoughts
        progress.thoughts += 1

    def feed(self, delta: Json) -> Json:
        if self._hidden:
            return {}
        if data := word(delta, "data"):
            return {"reasoning_details": [encrypted_detail(self._index, data)]}
        text, signature = word(delta, "thinking"), word(delta, "signature")
        said = {"text": text} if text else {}
        said |= {"signature": signature} if signature else {}
        if not said:
            return {}
        added: Json = {"reasoning": text} if text else {}
        return added | {"reasoning_details": [text_detail(self._index, **said)]}


class ToolBlock(Block):
    """A call; an input that never sends a byte means `{}`."""

    def __init__(self, progress: Progress, block: Json) -> None:
        self._progress = progress
        self._index = progress.calls
        self._name = word(block, "name") or ""
        self._id = word(block, "id") or made_up_id(progress.seed, self._index, self._name)
        self._given = block.get("input") or {}  # whole from hosts that do not stream it
        self._started = self._spoken = False
        progress.calls += 1

    def feed(self, delta: Json) -> Json:
        text = word(delta, "partial_json") or ""
        self._spoken = self._spoken or bool(text)
        if self._started:
            return self._call({"arguments": text}) if text else {}
        self._started = True
        return self._call({"name": self._name, "arguments": text}, id=self._id, type="function")

    def stop(self) -> Json:
        if self._spoken:
            return {}
        self._spoken = True
        return self._call({"arguments": input_text(self._given)})

    def _call(self, function: Json, **more: str) -> Json:
        return {"tool_calls": [{"index": self._index, **more, "function": function}]}


class AnswerBlock(Block):
    """The input of the tool we forced, which is the answer's text."""

    def __init__(self, progress: Progress, block: Json) -> None:
        self._progress = progress
        self._given = block.get("input") or {}
        self._spoken = False

    def feed(self, delta: Json) -> Json:
        text = word(delta, "partial_json")
        return self._say(text) if text else {}

    def stop(self) -> Json:
        return {} if self._spoken else self._say(input_text(self._given))

    def _say(self, text: str) -> Json:
        self._spoken = True
        self._progress.text += len(text)
        return {"content": text}


def open_block(block: Json, progress: Progress) -> Block | None:
    """Return the reader of a block that starts, or None for server tools' blocks and others."""
    match block.get("type"):
        case "text":
            return TextBlock(progress)
        case "thinking" | "redacted_thinking":
            return ThinkingBlock(progress)
        case "tool_use" if answers_by_tool(progress.body, block.get("name")):
            return AnswerBlock(progress, block)
        case "tool_use":
            return ToolBlock(progress, block)
    return None
