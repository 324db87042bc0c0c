"""Reading of a streamed OpenAI chat completion, which is the hot path of a worker.

A finish reason is held back until the stream ends, because vendors repeat it, send text or an error
after it, or send it before the last tool call. So each choice finishes once, in the last chunks.
"""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from broker.completion import Chunk, Completion, CompletionRequest, Json, Usage
from workers.adapters.base import (
    CutOffError,
    MalformedAnswerError,
    ProviderFailureError,
    Stage,
)
from workers.adapters.errors import read_reported_error
from workers.adapters.event_reader import EventReader
from workers.adapters.json_shapes import as_object, as_objects, parse, text_field
from workers.adapters.openai.choice import ChoiceStream
from workers.adapters.openai.response import (
    id_seed,
    read_answer_usage,
    read_citations,
    read_response,
    require_success,
)
from workers.adapters.openai.usage import find_usage
from workers.adapters.reasoning import REASONING_FIELDS, hides_reasoning
from workers.adapters.sse import ServerSentEvent

_DONE = b"[DONE]"
_is_finished = attrgetter("finished")
_USAGE = b'"usage"'
"""The name in every vendor's usage: a chunk without it is not searched."""


class OpenAiStreamReader(EventReader):
    """See `EventReader`. `[DONE]` may end the events before the bytes end."""

    __slots__ = (
        "_choices",
        "_citing",
        "_counted",
        "_ended",
        "_fingerprint",
        "_hidden",
        "_id",
        "_model",
        "_over",
        "_request",
        "_requested",
        "_tier",
        "_usage",
    )

    def __init__(self, request: CompletionRequest) -> None:
        super().__init__()
        self._request = request
        self._requested = self._requested_choices()
        self._hidden = hides_reasoning(request.body)
        self._choices: dict[int, ChoiceStream] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._fingerprint: str | None = None
        self._tier: str | None = None
        self._usage: Any = None
        self._counted = False  # the final usage has come
        self._citing: Json = {}
        self._over = False  # `[DONE]` has come
        self._ended = False  # every choice has been finished

    @property
    def stage(self) -> Stage:
        """Return the stage of the answer. It is OPEN until every requested choice has finished."""
        if self._over:
            return Stage.OVER
        if not self._is_finished():
            return Stage.OPEN
        return Stage.COUNTED if self._counted else Stage.FINISHED

    @property
    def usage(self) -> Usage | None:
        """Return the usage that the provider has stated so far."""
        return read_answer_usage(self._usage, self._request)

    def _take(self, event: ServerSentEvent, chunks: list[Chunk]) -> None:
        data = event.data
        if self._over or not data:
            return
        if data.strip() == _DONE:
            self._over = True
            self._finish(chunks)
            return
        if event.name == "error":
            raise ProviderFailureError(read_reported_error(_error_of(data)))
        payload = parse(data)
        if type(payload) is not dict or not payload.get("choices") or payload.get("error"):
            payload = require_success(payload)
        if event.is_document and _is_whole(payload):
            chunks += self._read_whole(payload)
            return
        usage = find_usage(payload) if _USAGE in data else None
        self._note(payload, usage)
        choices = payload.get("choices")
        for choice in choices if type(choices) is list else ():
            addition = self._addition(choice, payload)
            if addition is not None and self._hidden:
                addition = _without_reasoning(addition)
            if addition is not None:
                # Not a comprehension: a failure must not discard the additions before it.
                chunks.append(self._chunk((addition,)))
        if usage and not self._counted:
            self._counted = self._is_finished()  # until then the usage is preliminary

    def _read_whole(self, payload: Json) -> list[Chunk]:
        """Read a whole answer, from a vendor that does not stream."""
        answer = read_response(payload, self._request)
        self._over = self._ended = True
        self._usage = find_usage(payload)
        return chunks_of(answer)

    def _is_finished(self) -> bool:
        choices = self._choices
        return len(choices) >= self._requested and all(map(_is_finished, choices.values()))

    def _requested_choices(self) -> int:
        requested = self._request.body.get("n")
        return requested if isinstance(requested, int) else 1

    def _note(self, payload: Json, usage: object) -> None:
        """Keep the fields of the whole answer. The last usage and the last sources count."""
        if self._id is None:
            self._id = text_field(payload, "id")
            self._model = text_field(payload, "model")
        if fingerprint := payload.get("system_fingerprint"):
            self._fingerprint = fingerprint
        if tier := payload.get("service_tier"):
            self._tier = tier
        if usage:
            self._usage = usage
        if "citations" in payload:
            self._citing = payload

    def _addition(self, choice: Any, payload: Json) -> Json | None:
        if not isinstance(choice, dict):
            raise MalformedAnswerError("the stream has a choice that is not an object")
        if choice.get("error"):
            raise ProviderFailureError(read_reported_error(choice))
        index = choice.get("index")
        stream = self._choices.get(index) if type(index) is int else None
        if stream is None:
            stream = self._open(index, payload)
        return stream.feed(choice)

    def _open(self, index: Any, payload: Json) -> ChoiceStream:
        index = index if isinstance(index, int) else 0
        if index not in self._choices:
            self._choices[index] = self._new_choice(index, payload)
        return self._choices[index]

    def _new_choice(self, index: int, payload: Json) -> ChoiceStream:
        seed = f"{id_seed(payload, self._request)}/{index}"
        return ChoiceStream(index, seed, functions="functions" in self._request.body)

    def _end(self, chunks: list[Chunk]) -> None:
        if not self._ended:
            self._finish(chunks)
        if not self._ended:
            raise CutOffError("the stream ended without a finish reason")

    def _finish(self, chunks: list[Chunk]) -> None:
        """Append the finish reasons and the usage, if all choices have a finish reason."""
        choices = self._choices.values()
        if not choices or not all(choice.finished for choice in choices):
            return
        self._ended = True
        last = [choice.finish() for choice in choices]
        if self._hidden:
            for one in last:
                one["delta"].pop("reasoning", None)  # reasoning that the end cut off
        if (first := next(iter(choices))) and not first.annotated and self._citing:
            last[0]["delta"] |= _annotations(read_citations(self._citing))
        chunks.append(self._chunk(last))
        if usage := read_answer_usage(self._usage, self._request):
            chunks.append(replace(self._chunk(()), usage=usage))

    def _chunk(self, choices: Sequence[Json]) -> Chunk:
        return Chunk(choices, None, self._id, self._model, self._fingerprint, self._tier)


def chunks_of(completion: Completion) -> list[Chunk]:
    """Return a whole answer as the chunks of a stream."""
    choices = [_as_addition(choice) for choice in completion.choices]
    chunk = Chunk(
        choices=choices,
        upstream_id=completion.upstream_id,
        upstream_model=completion.upstream_model,
        system_fingerprint=completion.system_fingerprint,
        service_tier=completion.service_tier,
    )
    if completion.usage is None:
        return [chunk]
    return [chunk, replace(chunk, choices=(), usage=completion.usage)]


def _as_addition(choice: Json) -> Json:
    delta = {name: value for name, value in choice["message"].items() if value is not None}
    if "tool_calls" in delta:
        calls = enumerate(delta["tool_calls"])
        delta["tool_calls"] = [{"index": index, **call} for index, call in calls]
    rest = {name: value for name, value in choice.items() if name != "message"}
    return {**rest, "delta": delta}


def _without_reasoning(addition: Json) -> Json | None:
    """Return an addition without its reasoning, or None where nothing else is in it."""
    delta = {
        name: value for name, value in addition["delta"].items() if name not in REASONING_FIELDS
    }
    return {**addition, "delta": delta} if delta or addition.get("logprobs") else None


def _annotations(notes: list[Json]) -> Json:
    return {"annotations": notes} if notes else {}


def _is_whole(payload: Json) -> bool:
    """Return whether an object is a whole answer, not one chunk of an unframed stream."""
    return any(
        isinstance(as_object(one).get("message"), dict) and not one.get("delta")
        for one in as_objects(payload.get("choices"))
    )


def _error_of(data: bytes) -> Any:
    try:
        return parse(data)
    except MalformedAnswerError:
        return data.decode("utf-8", "replace")
