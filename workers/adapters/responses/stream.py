"""Reading of a streamed answer of the Responses API, event by event.

Source: platform.openai.com/docs/api-reference/responses-streaming. Events of unknown types are
ignored. A delta that did not come is taken from the whole item, or from the whole answer.
"""

from typing import Any

from broker.completion import Chunk, CompletionRequest, Json, Usage
from workers.adapters.base import BackgroundReader, CutOffError, Stage
from workers.adapters.choices import SingleChoice
from workers.adapters.event_reader import EventReader, Framing
from workers.adapters.json_shapes import as_object, as_objects, as_text, parse, text_field
from workers.adapters.openai.stream import chunks_of
from workers.adapters.responses.output import Output
from workers.adapters.responses.response import (
    UNFINISHED,
    read_native_reason,
    read_response,
    read_usage,
    require_success,
)
from workers.adapters.sse import ServerSentEvent, SplitPairs

_DONE = b"[DONE]"
_PREFIX = "response."
_ENDS = ("completed", "incomplete", "failed", "cancelled")
_INPUTS = {
    "function_call_arguments.delta": "function_call",
    "custom_tool_call_input.delta": "custom_tool_call",
}
_REASONING = {
    "reasoning_summary_text.delta": ("summary", "summary_index"),
    "reasoning_text.delta": ("content", "content_index"),
}


class ResponsesStreamReader(EventReader, BackgroundReader):
    """See `EventReader`. The choice finishes when the whole answer has come."""

    __slots__ = ("_background_id", "_choice", "_is_over", "_last", "_output", "_request", "_usage")

    def __init__(self, request: CompletionRequest) -> None:
        super().__init__()
        self._request = request
        self._choice = SingleChoice(request)
        self._output = Output(request, self._choice)
        self._usage: Any = None
        self._is_over = False
        self._background_id: str | None = None
        self._last: int | None = None

    @property
    def stage(self) -> Stage:
        """Return the stage of the answer. Its last event has the finish reason and the usage."""
        return Stage.OVER if self._is_over else Stage.OPEN

    @property
    def usage(self) -> Usage | None:
        """Return the usage that the provider has stated so far."""
        return read_usage(self._usage, self._output.searches)

    @property
    def background_id(self) -> str | None:
        """Return the id of the response if it runs in the background."""
        return self._background_id

    @property
    def last_event(self) -> int | None:
        """Return the `sequence_number` of the last event that was read."""
        return self._last

    def adopt(self, background_id: str) -> None:
        """Begin to read a response that another process has requested."""
        self._background_id = background_id

    def restart(self) -> None:
        """Begin to read another body, which continues the answer after the last event."""
        self._framing = Framing()
        self._pairs = SplitPairs()
        self._failure = None

    def read_whole(self, body: bytes) -> list[Chunk] | None:
        """Return the chunks that the whole response adds, or None while it is not whole."""
        answer = require_success(parse(body))
        if answer.get("status") in UNFINISHED:
            return None
        self._note(answer)
        chunks: list[Chunk] = []
        self._finish(answer, chunks)
        return chunks

    def _take(self, event: ServerSentEvent, chunks: list[Chunk]) -> None:
        if self._is_over or not event.data or event.data.strip() == _DONE:
            return
        payload = _require_success(parse(event.data), event.name)
        if payload.get("object") == "response" and event.is_document:  # it did not stream
            chunks += chunks_of(read_response(payload, self._request))
            self._usage = payload.get("usage")
            self._is_over = True
            return
        kind = as_text(payload.get("type")) or event.name
        if isinstance(number := payload.get("sequence_number"), int):
            self._last = number
        if isinstance(answer := payload.get("response"), dict):
            is_first = self._choice.upstream_id is None
            self._note(answer)
            chunks += self._choice.announce() if is_first else []
            if kind.removeprefix(_PREFIX) in _ENDS:
                self._finish(require_success(answer), chunks)
            return
        chunks += self._read_event(kind.removeprefix(_PREFIX), payload)

    def _note(self, answer: Json) -> None:
        """Keep the fields of the whole answer."""
        choice = self._choice
        choice.upstream_id = text_field(answer, "id") or choice.upstream_id
        choice.upstream_model = text_field(answer, "model") or choice.upstream_model
        choice.service_tier = text_field(answer, "service_tier") or choice.service_tier
        self._usage = answer.get("usage") or self._usage
        if answer.get("background") is True:
            self._background_id = choice.upstream_id

    def _read_event(self, kind: str, payload: Json) -> list[Chunk]:
        """Return the chunks of an event within the answer."""
        key, output = _key(payload), self._output
        if kind == "output_text.delta":
            part, text = _index(payload, "content_index"), as_text(payload.get("delta"))
            return output.add_text(key, part, text, payload.get("logprobs"))
        if kind in _INPUTS:
            return output.add_input(key, _INPUTS[kind], as_text(payload.get("delta")))
        if kind in _REASONING:
            name, index = _REASONING[kind]
            part, text = _index(payload, index), as_text(payload.get("delta"))
            return output.add_reasoning(key, name, part, text)
        return self._read_rare_event(kind, key, payload)

    def _read_rare_event(self, kind: str, key: Any, payload: Json) -> list[Chunk]:
        output, part = self._output, _index(payload, "content_index")
        match kind:
            case "output_item.added":
                return output.open(key, as_object(payload.get("item")))
            case "output_item.done":
                return output.end(key, as_object(payload.get("item")))
            case "refusal.delta":
                return output.add_refusal(key, part, as_text(payload.get("delta")))
            case "output_text.annotation.added":
                return output.add_annotation(key, part, payload.get("annotation"))
        return []

    def _finish(self, answer: Json, chunks: list[Chunk]) -> None:
        chunks += self._output.end_all(as_objects(answer.get("output")))
        chunks += self._choice.finish(read_native_reason(answer))
        chunks += self._choice.add_usage(self.usage)
        self._is_over = True

    def _end(self, chunks: list[Chunk]) -> None:  # noqa: ARG002
        if not self._is_over:
            raise CutOffError("the stream ended before the response was complete")


def _require_success(payload: Any, name: str) -> Json:
    """Return an event's payload. Raises as `require_success` does."""
    if name == "error" and isinstance(payload, dict):
        payload = {"type": "error", **payload}
    return require_success(payload)


def _key(payload: Json) -> Any:
    """Return the key of an event's item: its place in the output, or its id."""
    index = payload.get("output_index")
    if isinstance(index, int):
        return index
    return as_text(payload.get("item_id")) or as_text(as_object(payload.get("item")).get("id"))


def _index(payload: Json, name: str) -> int:
    index = payload.get(name)
    return index if isinstance(index, int) else 0
