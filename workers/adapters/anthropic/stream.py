"""Reading of a streamed Messages answer, block by block."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from broker.completion import Chunk, CompletionRequest, Json, Usage
from workers.adapters.anthropic.messages import WIRE
from workers.adapters.anthropic.native import NativeStream
from workers.adapters.anthropic.response import (
    build_encrypted_detail,
    build_text_detail,
    input_text,
    merge_usage,
    read_citations,
    read_response,
    read_tier,
    read_usage,
    refusal_text,
    require_success,
    stop_reason,
)
from workers.adapters.anthropic.tools import answers_by_tool
from workers.adapters.base import CutOffError, Stage
from workers.adapters.event_reader import EventReader
from workers.adapters.json_shapes import as_object, parse, text_field
from workers.adapters.openai.response import id_seed
from workers.adapters.openai.stream import chunks_of
from workers.adapters.reasoning import hides_reasoning
from workers.adapters.sse import ServerSentEvent
from workers.adapters.tool_calls import generate_id


@dataclass(slots=True)
class Progress:
    """State that the blocks of one answer share."""

    body: Json  # the caller's request
    seed: str  # of generated call ids
    hidden: bool  # the answer leaves out the reasoning
    text: int = 0  # characters of content so far
    thoughts: int = 0  # reasoning blocks so far
    calls: int = 0  # tool calls so far


class Block(ABC):
    """Reader of one block's events, which returns deltas in OpenAI's shape. They may be empty."""

    @abstractmethod
    def feed(self, delta: Json) -> Json:
        """Return the delta that an event adds. The starting block is fed as the first one."""

    def stop(self) -> Json:
        """Return the delta that the end of the block adds."""
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
        text = text_field(delta, "text")
        if text is None:
            return {}
        self._progress.text += len(text)
        return {"content": text}

    def stop(self) -> Json:
        # The end of the cited text is known only now.
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
        if data := text_field(delta, "data"):
            return {"reasoning_details": [build_encrypted_detail(self._index, data)]}
        text, signature = text_field(delta, "thinking"), text_field(delta, "signature")
        fields = {"text": text} if text else {}
        fields |= {"signature": signature} if signature else {}
        if not fields:
            return {}
        added: Json = {"reasoning": text} if text else {}
        return added | {"reasoning_details": [build_text_detail(self._index, **fields)]}


class ToolBlock(Block):
    """A tool call. Its input is `{}` where no byte of it comes."""

    def __init__(self, progress: Progress, block: Json) -> None:
        self._progress = progress
        self._index = progress.calls
        self._name = text_field(block, "name") or ""
        self._id = text_field(block, "id") or generate_id(progress.seed, self._index, self._name)
        self._given = block.get("input") or {}  # the whole input, from hosts that do not stream it
        self._started = self._written = False
        progress.calls += 1

    def feed(self, delta: Json) -> Json:
        text = text_field(delta, "partial_json") or ""
        self._written = self._written or bool(text)
        if self._started:
            return self._call({"arguments": text}) if text else {}
        self._started = True
        return self._call({"name": self._name, "arguments": text}, id=self._id, type="function")

    def stop(self) -> Json:
        if self._written:
            return {}
        self._written = True
        return self._call({"arguments": input_text(self._given)})

    def _call(self, function: Json, **more: str) -> Json:
        return {"tool_calls": [{"index": self._index, **more, "function": function}]}


class AnswerBlock(Block):
    """The input of our forced tool, which is the text of the answer."""

    def __init__(self, progress: Progress, block: Json) -> None:
        self._progress = progress
        self._given = block.get("input") or {}
        self._written = False

    def feed(self, delta: Json) -> Json:
        text = text_field(delta, "partial_json")
        return self._add(text) if text else {}

    def stop(self) -> Json:
        return {} if self._written else self._add(input_text(self._given))

    def _add(self, text: str) -> Json:
        self._written = True
        self._progress.text += len(text)
        return {"content": text}


def open_block(block: Json, progress: Progress) -> Block | None:
    """Return the reader of a starting block, or None for blocks of server tools and others."""
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


class AnthropicStreamReader(EventReader):
    """See `EventReader`. The single choice finishes when `message_stop` has come."""

    __slots__ = ("_blocks", "_ended", "_envelope", "_native", "_progress", "_request", "_started",
                 "_stop", "_usage")  # fmt: skip

    def __init__(self, request: CompletionRequest) -> None:
        super().__init__()
        self._request = request
        hidden = hides_reasoning(request.body)
        self._progress = Progress(request.body, id_seed({}, request), hidden)
        self._blocks: dict[int, Block] = {}
        self._native = NativeStream(request.body)
        self._envelope = Chunk()
        self._usage: Json = {}
        self._stop: Json | None = None  # the delta that held the stop reason
        self._started = False
        self._ended = False

    @property
    def stage(self) -> Stage:
        """Return the stage of the answer. `message_delta` has stop reason and usage together."""
        if self._ended:
            return Stage.OVER
        return Stage.OPEN if self._stop is None else Stage.COUNTED

    @property
    def usage(self) -> Usage | None:
        """Return the usage that the provider has stated so far. `message_start` has the input."""
        return read_usage(self._usage)

    def _take(self, event: ServerSentEvent, chunks: list[Chunk]) -> None:
        if self._ended or not event.data:
            return
        payload = _require_success(parse(event.data), event.name)
        kind = payload.get("type")
        if isinstance(kind, str) and kind.startswith("content_block_"):
            native = self._native.take(payload)
            self._add(chunks, self._read_delta(kind, payload), native)
            return
        match kind:
            case "message_start":
                self._begin(payload.get("message"))
            case "message_delta":
                self._note(payload)
            case "message_stop":
                self._end(chunks)
            case "message":  # a host that did not stream
                chunks += chunks_of(read_response(payload, self._request))
                self._usage = as_object(payload.get("usage"))
                self._ended = True

    def _begin(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        self._usage = merge_usage(self._usage, message.get("usage"))
        self._progress.seed = id_seed(message, self._request)
        self._envelope = Chunk(
            upstream_id=text_field(message, "id"),
            upstream_model=text_field(message, "model"),
            service_tier=read_tier(message.get("usage")),
        )

    def _read_delta(self, kind: str, payload: Json) -> Json:
        """Return the delta that an event of a block adds."""
        index = _index(payload)
        if kind == "content_block_start":
            return self._open(index, payload.get("content_block"))
        if kind == "content_block_stop":
            block = self._blocks.pop(index, None)
            return block.stop() if block is not None else {}
        block, delta = self._blocks.get(index), payload.get("delta")
        return block.feed(delta) if block is not None and isinstance(delta, dict) else {}

    def _open(self, index: int, block: Any) -> Json:
        opened = open_block(block, self._progress) if isinstance(block, dict) else None
        if opened is None:
            return {}
        self._blocks[index] = opened
        return opened.feed(block)

    def _note(self, payload: Json) -> None:
        self._native.take(payload)
        self._usage = merge_usage(self._usage, payload.get("usage"))
        delta = payload.get("delta")
        if isinstance(delta, dict) and delta.get("stop_reason"):
            self._stop = delta

    def _add(self, chunks: list[Chunk], delta: Json, native: Sequence[Json] = ()) -> None:
        if not delta and not native:
            return
        if not self._started:
            self._started = True
            opening = None if "tool_calls" in delta else ""
            delta = {"role": "assistant", "content": opening, **delta}
        choice: Json = {"index": 0, "delta": delta, "finish_reason": None}
        if native:
            choice["native"] = {"wire": WIRE, "events": native}
        chunks.append(replace(self._envelope, choices=(choice,)))

    def _end(self, chunks: list[Chunk]) -> None:
        if self._ended:
            return
        if self._stop is None:
            raise CutOffError("the stream ended without a stop reason")
        self._ended = True
        for block in self._blocks.values():  # from hosts that send no `content_block_stop`
            self._add(chunks, block.stop())
        given, refusal = self._stop["stop_reason"], refusal_text(self._stop)
        last: Json = {} if self._started else {"role": "assistant", "content": ""}
        choice = {
            "index": 0,
            "delta": {**last, "refusal": refusal} if refusal else last,
            "finish_reason": stop_reason(given, called=self._progress.calls > 0),
            "native_finish_reason": given,
            **self._native.build(self._usage),
        }
        chunks.append(replace(self._envelope, choices=(choice,)))
        if usage := read_usage(self._usage):
            chunks.append(replace(self._envelope, usage=usage))


def _require_success(payload: Any, name: str) -> Json:
    """Return an event's payload. Raises as `require_success` does."""
    if name == "error" and not (isinstance(payload, dict) and payload.get("error")):
        payload = {"error": payload or name}  # some hosts send the bare error
    return require_success(payload)


def _index(payload: Json) -> int:
    index = payload.get("index")
    return index if isinstance(index, int) else 0
