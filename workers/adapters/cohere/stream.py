"""Reading of a streamed Cohere v2 answer (https://docs.cohere.com/docs/streaming)."""

from collections.abc import Callable

from broker.completion import Chunk, CompletionRequest, Json, Usage
from workers.adapters.base import CutOffError, ProviderFailureError, Stage
from workers.adapters.choices import SingleChoice
from workers.adapters.cohere.response import (
    is_legacy_event,
    join_blocks,
    read_citations,
    read_legacy_end,
    read_logprobs,
    read_response,
    read_usage,
    require_success,
)
from workers.adapters.errors import read_reported_error
from workers.adapters.event_reader import EventReader
from workers.adapters.json_shapes import as_object, as_objects, as_text, parse, text_field
from workers.adapters.openai.stream import chunks_of
from workers.adapters.sse import ServerSentEvent

_DONE = b"[DONE]"


class CohereStreamReader(EventReader):
    """See `EventReader`. Unknown events are ignored."""

    def __init__(self, request: CompletionRequest) -> None:
        super().__init__()
        self._request = request
        self._answer = SingleChoice(request)
        self._readers: dict[str, Callable[[Json, Json], list[Chunk]]] = {
            "message-start": self._begin,
            "content-start": self._content,
            "content-delta": self._content,
            "tool-plan-delta": self._plan,
            "tool-call-start": self._call,
            "tool-call-delta": self._call,
            "citation-start": self._citation,
            "message-end": self._finish,
        }

    @property
    def stage(self) -> Stage:
        """Return the stage of the answer. `message-end` has finish reason and usage together."""
        return Stage.OVER if self._answer.finished else Stage.OPEN

    @property
    def usage(self) -> Usage | None:
        """Return the usage, which comes only at the end."""
        return self._answer.usage

    def _take(self, event: ServerSentEvent, chunks: list[Chunk]) -> None:
        if not event.data or event.data.strip() == _DONE or self._answer.finished:
            return
        payload = parse(event.data)
        if event.name == "error":
            raise ProviderFailureError(read_reported_error(payload))
        payload = require_success(payload)
        kind = text_field(payload, "type") or event.name
        if is_legacy_event(payload):
            chunks += self._whole(read_legacy_end(payload))
        elif read := self._readers.get(kind):
            chunks += read(payload, as_object(payload.get("delta")))
        elif kind == "message" and "finish_reason" in payload:
            chunks += self._whole(payload)

    def _end(self, chunks: list[Chunk]) -> None:  # noqa: ARG002  # nothing is held back
        if not self._answer.finished:
            raise CutOffError("the stream ended without a finish reason")

    def _whole(self, payload: Json | None) -> list[Chunk]:
        """Return the chunks of an answer that came in one piece."""
        if payload is None:
            return []
        self._answer.finished = True
        return chunks_of(read_response(payload, self._request))

    def _begin(self, payload: Json, _: Json) -> list[Chunk]:
        self._answer.upstream_id = text_field(payload, "id")
        return []

    def _content(self, payload: Json, delta: Json) -> list[Chunk]:
        content = as_object(delta.get("message")).get("content")
        return self._answer.add(
            content=join_blocks(content, "text"),
            reasoning=join_blocks(content, "thinking"),
            logprobs=read_logprobs(payload.get("logprobs")),
        )

    def _plan(self, _: Json, delta: Json) -> list[Chunk]:
        return self._answer.add(reasoning=as_text(as_object(delta.get("message")).get("tool_plan")))

    def _call(self, payload: Json, delta: Json) -> list[Chunk]:
        # One object per event, although the name is a plural.
        calls = as_objects(as_object(delta.get("message")).get("tool_calls"))
        return self._answer.add_calls(*({"index": payload.get("index"), **call} for call in calls))

    def _citation(self, _: Json, delta: Json) -> list[Chunk]:
        notes = read_citations(as_object(delta.get("message")).get("citations"))
        return self._answer.add(annotations=notes)

    def _finish(self, _: Json, delta: Json) -> list[Chunk]:
        require_success(delta)
        native = text_field(delta, "finish_reason")
        if native is None:
            return []  # without a reason it is not the end
        return [
            *self._answer.finish(native),
            *self._answer.add_usage(read_usage(delta.get("usage"))),
        ]
