"""Reading of a streamed generateContent answer: server-sent events or a JSON array."""

from dataclasses import replace
from typing import Any

from broker.completion import Chunk, CompletionRequest, Json, Usage
from workers.adapters.base import CutOffError, Stage
from workers.adapters.event_reader import EventReader
from workers.adapters.gemini.candidate import GeminiCandidate, with_logprobs
from workers.adapters.gemini.response import (
    counts_something,
    open_candidate,
    read_blocked_prompt,
    read_candidates,
    read_envelope,
    read_usage,
    require_success,
    with_searches,
)
from workers.adapters.json_shapes import parse
from workers.adapters.sse import ServerSentEvent


class GeminiStreamReader(EventReader):
    """See `EventReader`. Every chunk repeats the growing usage, and the last one counts."""

    __slots__ = (
        "_candidates",
        "_counted",
        "_envelope",
        "_over",
        "_refusal",
        "_request",
        "_started",
        "_usage",
    )

    def __init__(self, request: CompletionRequest) -> None:
        super().__init__()
        self._request = request
        self._candidates: dict[int, GeminiCandidate] = {}
        self._started: set[int] = set()
        self._envelope = Chunk()
        self._usage: Any = None
        self._counted = False  # the final usage has come
        self._over = False  # `[DONE]` has come
        self._refusal: Json | None = None  # the choice of a blocked prompt

    @property
    def stage(self) -> Stage:
        """Return the stage of the answer. Every requested candidate must have finished."""
        if not self._is_finished():
            return Stage.OPEN
        if self._over:
            return Stage.OVER
        return Stage.COUNTED if self._counted else Stage.FINISHED

    @property
    def usage(self) -> Usage | None:
        """Return the usage that the provider has stated so far."""
        return read_usage(self._usage)

    def _is_finished(self) -> bool:
        if not self._candidates:
            return self._refusal is not None
        requested, found = self._request.body.get("n"), self._candidates.values()
        return len(found) >= (requested if isinstance(requested, int) else 1) and all(
            candidate.finished for candidate in found
        )

    def _take(self, event: ServerSentEvent, chunks: list[Chunk]) -> None:
        if not event.data:
            return
        if event.data.strip() == b"[DONE]":  # from some proxies
            self._over = True
            return
        payload = require_success(parse(event.data))
        if self._envelope.upstream_id is None:
            self._envelope = read_envelope(payload)
        if counts_something(payload.get("usageMetadata")):
            self._usage = payload["usageMetadata"]
        self._refusal = self._refusal or read_blocked_prompt(payload)
        for index, entry in read_candidates(payload):
            candidate = self._candidates.get(index)
            if candidate is None:
                candidate = open_candidate(index, payload, self._request)
                self._candidates[index] = candidate
            if delta := candidate.feed(entry):
                choice = self._addition(index, delta)
                chunks.append(replace(self._envelope, choices=(with_logprobs(choice, entry),)))
        if counts_something(payload.get("usageMetadata")):
            self._counted = self._is_finished()

    def _end(self, chunks: list[Chunk]) -> None:
        if not self._candidates and self._refusal is not None:
            last = [_as_addition(self._refusal)]
        else:
            last = self._last()
        chunks.append(replace(self._envelope, choices=last))
        found = [candidate.queries for candidate in self._candidates.values()]
        if usage := with_searches(read_usage(self._usage), found, self._request.model):
            chunks.append(replace(self._envelope, usage=usage))

    def _last(self) -> list[Json]:
        found = self._candidates.values()
        if not found or not all(candidate.finished for candidate in found):
            raise CutOffError("the stream ended without a finish reason")
        finished = [(candidate, *candidate.finish()) for candidate in found]
        return [
            {**self._addition(candidate.index, delta), **reasons}
            for candidate, delta, reasons in finished
        ]

    def _addition(self, index: int, delta: Json) -> Json:
        if index not in self._started:
            self._started.add(index)
            opening = None if "tool_calls" in delta else ""
            delta = {"role": "assistant", "content": opening, **delta}
        return {"index": index, "delta": delta, "finish_reason": None}


def _as_addition(choice: Json) -> Json:
    message = {name: value for name, value in choice["message"].items() if value is not None}
    rest = {name: value for name, value in choice.items() if name != "message"}
    return {**rest, "delta": {"content": "", **message}}
