"""Reads a streamed Messages answer.

Source: platform.claude.com/docs/en/build-with-claude/streaming: named events, whose data name
themselves too; unknown ones are to be passed over.
"""

from dataclasses import replace
from typing import Any

from broker.completion import Chunk, CompletionRequest, Json, Usage
from workers.adapters.anthropic.blocks import Block, Progress, open_block
from workers.adapters.anthropic.response import (
    read_answer,
    refusal_text,
    refuse_failure,
    stop_reason,
)
from workers.adapters.anthropic.usage import merged, read_tier, read_usage
from workers.adapters.base import CutOffError, Stage
from workers.adapters.event_reader import EventReader
from workers.adapters.hidden_reasoning import hides_reasoning
from workers.adapters.json_shapes import an_object, parse, word
from workers.adapters.openai.response import id_seed
from workers.adapters.openai.stream import chunks_of
from workers.adapters.sse import ServerSentEvent


class AnthropicStream(EventReader):
    """A `StreamReader` of one answer; its single choice finishes when `message_stop` has come."""

    __slots__ = ("_blocks", "_ended", "_envelope", "_progress", "_request", "_started", "_stop",
                 "_usage")  # fmt: skip

    def __init__(self, request: CompletionRequest) -> None:
        super().__init__()
        self._request = request
        hidden = hides_reasoning(request.body)
        self._progress = Progress(request.body, id_seed({}, request), hidden)
        self._blocks: dict[int, Block] = {}
        self._envelope = Chunk()
        self._usage: Json = {}
        self._stop: Json | None = None  # the delta that held the stop reason
        self._started = False
        self._ended = False

    @property
    def stage(self) -> Stage:
        """Return the stage of the answer; `message_delta` brings stop reason and usage together."""
        if self._ended:
            return Stage.OVER
        return Stage.OPEN if self._stop is None else Stage.COUNTED

    @property
    def usage(self) -> Usage | None:
        """The usage that the provider has stated so far; `message_start` counts the input."""
        return read_usage(self._usage)

    def _take(self, event: ServerSentEvent, chunks: list[Chunk]) -> None:
        if self._ended or not event.data:
            return
        payload = _checked(parse(event.data), event.name)
        match payload.get("type"):
            case "content_block_delta":
                block = self._blocks.get(_index(payload))
                if block is not None and isinstance(delta := payload.get("delta"), dict):
                    self._say(chunks, block.feed(delta))
            case "content_block_start":
                self._open(payload, chunks)
            case "content_block_stop":
                block = self._blocks.pop(_index(payload), None)
                self._say(chunks, block.stop() if block is not None else {})
            case "message_start":
                self._begin(payload.get("message"))
            case "message_delta":
                self._note(payload)
            case "message_stop":
                self._end(chunks)
            case "message":  # a host that did not stream
                chunks += chunks_of(read_answer(payload, self._request))
                self._usage = an_object(payload.get("usage"))
                self._ended = True

    def _begin(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        self._usage = merged(self._usage, message.get("usage"))
        self._progress.seed = id_seed(message, self._request)
        self._envelope = Chunk(
            upstream_id=word(message, "id"),
            upstream_model=word(message, "model"),
            service_tier=read_tier(message.get("usage")),
        )

    def _open(self, payload: Json, chunks: list[Chunk]) -> None:
        block = payload.get("content_block")
        if not isinstance(block, dict):
            return
        opened = open_block(block, self._progress)
        if opened is not None:
            self._blocks[_index(payload)] = opened
            self._say(chunks, opened.feed(block))

    def _note(self, payload: Json) -> None:
        self._usage = merged(self._usage, payload.get("usage"))
        delta = payload.get("delta")
        if isinstance(delta, dict) and delta.get("stop_reason"):
            self._stop = delta

    def _say(self, chunks: list[Chunk], delta: Json) -> None:
        if not delta:
            return
        if not self._started:
            self._started = True
            opening = None if "tool_calls" in delta else ""
            delta = {"role": "assistant", "content": opening, **delta}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        chunks.append(replace(self._envelope, choices=(choice,)))

    def _end(self, chunks: list[Chunk]) -> None:
        if self._ended:
            return
        if self._stop is None:
            raise CutOffError("the stream ended without a stop reason")
        self._ended = True
        for block in self._blocks.values():  # left open by hosts that stop nothing
            self._say(chunks, block.stop())
        given, refusal = self._stop["stop_reason"], refusal_text(self._stop)
        last: Json = {} if self._started else {"role": "assistant", "content": ""}
        choice = {
            "index": 0,
            "delta": {**last, "refusal": refusal} if refusal else last,
            "finish_reason": stop_reason(given, called=self._progress.calls > 0),
            "native_finish_reason": given,
        }
        chunks.append(replace(self._envelope, choices=(choice,)))
        if usage := read_usage(self._usage):
            chunks.append(replace(self._envelope, usage=usage))


def _checked(payload: Any, name: str) -> Json:
    """Return an event's payload; raises the failure it reports."""
    if name == "error" and not (isinstance(payload, dict) and payload.get("error")):
        payload = {"error": payload or name}  # a host that sends the bare error
    return refuse_failure(payload)


def _index(payload: Json) -> int:
    index = payload.get("index")
    return index if isinstance(index, int) else 0
