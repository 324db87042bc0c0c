"""Builds the chunks of a streamed answer that has one choice, as every stream of ours promises.

One role, tool call indexes without gaps, one finish reason, the usage last.
"""

from collections.abc import Sequence
from typing import Any

from broker.completion import Chunk, CompletionRequest, Json, Usage
from workers.adapters.finish_reasons import finish_reason
from workers.adapters.tool_calls import ToolCallStream


class SingleChoice:
    """Turns what a provider adds step by step into chunks; what adds nothing gives none."""

    __slots__ = (
        "_calls",
        "_started",
        "finished",
        "service_tier",
        "upstream_id",
        "upstream_model",
        "usage",
    )

    def __init__(self, request: CompletionRequest) -> None:
        self._calls = ToolCallStream(turn_seed(request))
        self._started = False
        self.finished = False
        self.upstream_id: str | None = None
        self.upstream_model: str | None = None
        self.service_tier: str | None = None
        self.usage: Usage | None = None

    def say(self, *, logprobs: Json | None = None, **said: Any) -> list[Chunk]:
        """Return the fields of a delta that say something."""
        said = {name: value for name, value in said.items() if value}
        if not said and not logprobs:
            return []
        choice = self._choice(said)
        if logprobs:
            choice["logprobs"] = logprobs
        return [self._chunk((choice,))]

    def call(self, *entries: Json) -> list[Chunk]:
        """Return what entries in the shape of OpenAI's streamed `tool_calls` add."""
        return self.say(tool_calls=self._calls.feed(list(entries)))

    def finish(self, native: str | None) -> list[Chunk]:
        """Return the last delta. Only the first finish reason counts."""
        if self.finished:
            return []
        self.finished = True
        empty = self._calls.close()
        choice = self._choice({"tool_calls": empty} if empty else {})
        choice["finish_reason"] = finish_reason(native, called=bool(self._calls))
        choice["native_finish_reason"] = native
        return [self._chunk((choice,))]

    def total(self, usage: Usage | None) -> list[Chunk]:
        """Return the usage in a chunk of its own."""
        self.usage = usage
        return [] if usage is None else [self._chunk((), usage)]

    def _choice(self, said: Json) -> Json:
        if not self._started:
            self._started = True
            opening = None if "tool_calls" in said else ""
            said = {"role": "assistant", "content": opening, **said}
        return {"index": 0, "delta": said, "finish_reason": None}

    def _chunk(self, choices: Sequence[Json], usage: Usage | None = None) -> Chunk:
        return Chunk(
            choices=choices,
            usage=usage,
            upstream_id=self.upstream_id,
            upstream_model=self.upstream_model,
            service_tier=self.service_tier,
        )


def turn_seed(request: CompletionRequest) -> str:
    """Return what made-up tool call ids derive from: another in every turn of a conversation."""
    messages = request.body.get("messages")
    return f"/{len(messages) if isinstance(messages, list) else 0}"
