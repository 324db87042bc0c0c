"""Reads a ConverseStream answer (API_runtime_ConverseStream, "Response Syntax")."""

from collections.abc import Callable
from typing import Any

from broker.completion import Chunk, CompletionRequest, Json, Usage
from workers.adapters.base import CutOffError, Stage
from workers.adapters.bedrock.citations import annotation
from workers.adapters.bedrock.frames import FAILURE, EventStreamFraming, failure_of
from workers.adapters.bedrock.reasoning import detail
from workers.adapters.bedrock.response import image_part, own_call, read_answer, service_tier
from workers.adapters.bedrock.usage import read_usage
from workers.adapters.choices import SingleChoice
from workers.adapters.event_reader import EventReader
from workers.adapters.json_shapes import an_object, parse, text_of, word
from workers.adapters.openai.stream import chunks_of
from workers.adapters.sse import ServerSentEvent


class ConverseStream(EventReader):
    """See `EventReader`. Events nobody has documented yet are passed over."""

    def __init__(self, request: CompletionRequest) -> None:
        super().__init__(EventStreamFraming())
        self._request = request
        self._answer = SingleChoice(request)
        self._images: dict[int, tuple[Any, list[str]]] = {}  # open blocks: format and data
        self._spoken = 0  # characters of answer so far
        self._cited_from = 0
        self._totalled = False
        self._readers: dict[str, Callable[[Json], list[Chunk]]] = {
            "contentBlockStart": self._start,
            "contentBlockDelta": self._delta,
            "contentBlockStop": self._stop,
            "messageStop": self._finish,
            "metadata": self._metadata,
        }

    @property
    def stage(self) -> Stage:
        """Return the stage of the answer: `messageStop`, then `metadata` with the usage."""
        if not self._answer.finished:
            return Stage.OPEN
        return Stage.OVER if self._totalled else Stage.FINISHED

    @property
    def usage(self) -> Usage | None:
        """The usage, which comes at the end only."""
        return self._answer.usage

    def _take(self, event: ServerSentEvent, chunks: list[Chunk]) -> None:
        if event.name == FAILURE:
            raise failure_of(event)
        payload = parse(event.data) if event.data else {}
        if read := self._readers.get(event.name):
            chunks += read(an_object(payload))
        elif event.is_document:
            # One JSON document: an answer of a proxy that does not stream, or an error.
            chunks += chunks_of(read_answer(payload, self._request))
            self._answer.finished = self._totalled = True

    def _end(self, chunks: list[Chunk]) -> None:  # noqa: ARG002  # nothing is held back
        if not self._answer.finished:
            raise CutOffError("the stream ended without a stop reason")

    def _start(self, payload: Json) -> list[Chunk]:
        index, start = _index(payload), an_object(payload.get("start"))
        self._cited_from = self._spoken
        if isinstance(image := start.get("image"), dict):
            self._images[index] = (image.get("format"), [])
        use = own_call(start.get("toolUse"))
        if use is None:
            return []
        function = {"name": use.get("name"), "arguments": ""}
        return self._answer.call({"index": index, "id": use.get("toolUseId"), "function": function})

    def _delta(self, payload: Json) -> list[Chunk]:
        index, delta = _index(payload), an_object(payload.get("delta"))
        if isinstance(text := delta.get("text"), str):
            self._spoken += len(text)
            return self._answer.say(content=text)
        if isinstance(use := delta.get("toolUse"), dict):
            return self._arguments(index, use)
        if "reasoningContent" in delta:
            return self._reasoning(delta["reasoningContent"], index)
        if "citation" in delta:
            note = annotation(delta["citation"], self._cited_from, self._spoken)
            return self._answer.say(annotations=[note] if note else None)
        if index in self._images:
            source = an_object(an_object(delta.get("image")).get("source"))
            self._images[index][1].append(text_of(source.get("bytes")))
        return []

    def _arguments(self, index: int, use: Json) -> list[Chunk]:
        # A server's own tool was never started here, and its nameless input is held back for good.
        return self._answer.call({"index": index, "function": {"arguments": use.get("input")}})

    def _reasoning(self, content: Any, index: int) -> list[Chunk]:
        entry = detail(content, index)
        if entry is None:
            return []
        return self._answer.say(reasoning=entry.get("text"), reasoning_details=[entry])

    def _stop(self, payload: Json) -> list[Chunk]:
        self._cited_from = self._spoken
        form, pieces = self._images.pop(_index(payload), (None, []))
        data = "".join(pieces)
        return self._answer.say(images=[image_part(form, data)] if data else None)

    def _finish(self, payload: Json) -> list[Chunk]:
        native = word(payload, "stopReason")
        return self._answer.finish(native)

    def _metadata(self, payload: Json) -> list[Chunk]:
        self._answer.service_tier = service_tier(payload)
        if self._totalled:
            return []
        self._totalled = True
        return self._answer.total(read_usage(payload.get("usage")))


def _index(payload: Json) -> int:
    index = payload.get("contentBlockIndex")
    return index if isinstance(index, int) else 0
