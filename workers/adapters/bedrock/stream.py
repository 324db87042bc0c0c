"""Reading of a ConverseStream answer (API_runtime_ConverseStream, "Response Syntax").

botocore decodes the frames of AWS's binary event stream (`application/vnd.amazon.eventstream`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from broker.completion import Chunk, CompletionRequest, Json, Usage
from workers.adapters import json_shapes
from workers.adapters.base import CutOffError, MalformedAnswerError, ProviderFailureError, Stage
from workers.adapters.bedrock.messages import read_reasoning_detail
from workers.adapters.bedrock.response import (
    annotation,
    image_part,
    own_call,
    read_response,
    read_usage,
    service_tier,
)
from workers.adapters.choices import SingleChoice
from workers.adapters.errors import read_reported_error
from workers.adapters.event_reader import EventReader, Framing
from workers.adapters.json_shapes import as_object, as_text, parse, text_field
from workers.adapters.openai.stream import chunks_of
from workers.adapters.sse import BOM, ServerSentEvent

if TYPE_CHECKING:
    from botocore.eventstream import EventStreamMessage

FAILURE = ":failure"

_STATUS = {
    "accessDeniedException": 403,
    "internalServerException": 500,
    "modelErrorException": 424,
    "modelNotReadyException": 429,
    "modelStreamErrorException": 424,
    "modelTimeoutException": 408,
    "resourceNotFoundException": 404,
    "serviceQuotaExceededException": 400,
    "serviceUnavailableException": 503,
    "throttlingException": 429,
    "validationException": 400,
}
"""The HTTP statuses of Bedrock's exceptions (API_runtime_ConverseStream, "Errors")."""


class EventStreamFraming(Framing):
    """A `Framing` for AWS event streams. It also reads a JSON document, which begins with `{`.

    The name of an event is its type. Failures are events with the name `FAILURE`.
    """

    __slots__ = ("_buffer", "_is_json")

    def __init__(self) -> None:
        from botocore.eventstream import EventStreamBuffer

        super().__init__()
        self._buffer = EventStreamBuffer()
        self._is_json: bool | None = None

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events completed by `data`. Raises MalformedAnswerError for other bytes."""
        from botocore.eventstream import ParserError

        if self._is_json is None and data:
            self._is_json = data[:1] in (b"{", b"[", BOM[:1])
        if self._is_json:
            return super().feed(data)
        self._buffer.add_data(data)
        events: list[ServerSentEvent] = []
        try:
            for message in self._buffer:
                events.append(_event(message))  # noqa: PERF401  # keep those before broken bytes
        except ParserError as error:
            if not events:
                raise MalformedAnswerError(f"the event stream is broken: {error}") from None
        return events


def failure_of(event: ServerSentEvent) -> ProviderFailureError:
    """Return the failure in a `FAILURE` event."""
    error = orjson.loads(event.data)
    return ProviderFailureError(read_reported_error(error, _STATUS.get(error["type"])))


def _event(message: "EventStreamMessage") -> ServerSentEvent:
    headers = message.headers
    kind = headers.get(":message-type", "event")
    if kind == "event":
        return ServerSentEvent(message.payload, str(headers.get(":event-type", "")))
    name = str(headers.get(":exception-type") or headers.get(":error-code") or kind)
    return ServerSentEvent(orjson.dumps(_report(name, headers, message.payload)), FAILURE)


def _report(name: str, headers: Json, payload: bytes) -> Json:
    try:
        details = json_shapes.loads(payload)
    except ValueError:
        details = None
    details = details if isinstance(details, dict) else {}
    stated = (headers.get(":error-message"), details.get("message"), details.get("Message"))
    message = next((text for text in stated if isinstance(text, str) and text), name)
    return {**details, "message": message, "type": name[:1].lower() + name[1:]}


class BedrockStreamReader(EventReader):
    """See `EventReader`. Unknown events are ignored."""

    def __init__(self, request: CompletionRequest) -> None:
        super().__init__(EventStreamFraming())
        self._request = request
        self._answer = SingleChoice(request)
        self._images: dict[int, tuple[Any, list[str]]] = {}  # open blocks: format and data
        self._spoken = 0  # characters of the answer so far
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
        """Return the usage, which comes only at the end."""
        return self._answer.usage

    def _take(self, event: ServerSentEvent, chunks: list[Chunk]) -> None:
        if event.name == FAILURE:
            raise failure_of(event)
        payload = parse(event.data) if event.data else {}
        if read := self._readers.get(event.name):
            chunks += read(as_object(payload))
        elif event.is_document:
            # A JSON document: an answer of a proxy that does not stream, or an error.
            chunks += chunks_of(read_response(payload, self._request))
            self._answer.finished = self._totalled = True

    def _end(self, chunks: list[Chunk]) -> None:  # noqa: ARG002  # nothing is held back
        if not self._answer.finished:
            raise CutOffError("the stream ended without a stop reason")

    def _start(self, payload: Json) -> list[Chunk]:
        index, start = _index(payload), as_object(payload.get("start"))
        self._cited_from = self._spoken
        if isinstance(image := start.get("image"), dict):
            self._images[index] = (image.get("format"), [])
        use = own_call(start.get("toolUse"))
        if use is None:
            return []
        function = {"name": use.get("name"), "arguments": ""}
        return self._answer.add_calls(
            {"index": index, "id": use.get("toolUseId"), "function": function}
        )

    def _delta(self, payload: Json) -> list[Chunk]:
        index, delta = _index(payload), as_object(payload.get("delta"))
        if isinstance(text := delta.get("text"), str):
            self._spoken += len(text)
            return self._answer.add(content=text)
        if isinstance(use := delta.get("toolUse"), dict):
            return self._arguments(index, use)
        if "reasoningContent" in delta:
            return self._reasoning(delta["reasoningContent"], index)
        if "citation" in delta:
            note = annotation(delta["citation"], self._cited_from, self._spoken)
            return self._answer.add(annotations=[note] if note else None)
        if index in self._images:
            source = as_object(as_object(delta.get("image")).get("source"))
            self._images[index][1].append(as_text(source.get("bytes")))
        return []

    def _arguments(self, index: int, use: Json) -> list[Chunk]:
        # The input of a server's own tool, which was not started here, is never shown.
        return self._answer.add_calls({"index": index, "function": {"arguments": use.get("input")}})

    def _reasoning(self, content: Any, index: int) -> list[Chunk]:
        entry = read_reasoning_detail(content, index)
        if entry is None:
            return []
        return self._answer.add(reasoning=entry.get("text"), reasoning_details=[entry])

    def _stop(self, payload: Json) -> list[Chunk]:
        self._cited_from = self._spoken
        form, pieces = self._images.pop(_index(payload), (None, []))
        data = "".join(pieces)
        return self._answer.add(images=[image_part(form, data)] if data else None)

    def _finish(self, payload: Json) -> list[Chunk]:
        native = text_field(payload, "stopReason")
        return self._answer.finish(native)

    def _metadata(self, payload: Json) -> list[Chunk]:
        self._answer.service_tier = service_tier(payload)
        if self._totalled:
            return []
        self._totalled = True
        return self._answer.add_usage(read_usage(payload.get("usage")))


def _index(payload: Json) -> int:
    index = payload.get("contentBlockIndex")
    return index if isinstance(index, int) else 0
