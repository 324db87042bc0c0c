"""Finish reasons of all wires, and the chunks of a stream that has one choice."""

from collections.abc import Sequence
from typing import Any

from broker.completion import Chunk, CompletionRequest, Json, Usage
from workers.adapters.tool_calls import ToolCallStream

_WORDS: dict[str, tuple[str, ...]] = {
    "stop": (
        *("stop", "end", "done", "finished", "finish", "complete", "completed", "success"),
        *("eos", "eos_token", "stop_token", "stop_word", "stop_sequence", "end_turn", "normal"),
        *("finish_reason_stop", "natural"),
        "pause_turn",  # Anthropic: a turn with server tools, which the next request continues
    ),
    "length": (
        *("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "max_length"),
        *("max_new_tokens", "token_limit", "length_limit", "truncated", "incomplete"),
        *("finish_reason_max_tokens", "finish_reason_length"),
        "model_length",  # Mistral
        *("model_context_window_exceeded", "context_window_exceeded", "context_length_exceeded"),
        "error_limit",  # Cohere, version 1
    ),
    "tool_calls": (
        *("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"),
        "finish_reason_tool_calls",
    ),
    "content_filter": (
        *("content_filter", "content_filtered", "content_policy_violation", "filtered", "blocked"),
        *("safety", "finish_reason_safety", "refusal", "refused", "moderation"),
        "sensitive",  # Z.ai
        "guardrail_intervened",  # Bedrock
        "error_toxic",  # Cohere, version 1
        # Google (ai.google.dev/api/generate-content#FinishReason)
        *("recitation", "language", "blocklist", "prohibited_content", "spii", "image_safety"),
        *("image_prohibited_content", "image_recitation", "model_armor", "jailbreak"),
    ),
    "error": (
        *("error", "failed", "cancelled", "canceled", "timeout", "user_cancel"),
        "network_error",  # Z.ai
        "insufficient_system_resource",  # DeepSeek
        "abort",  # vLLM
        *("malformed_model_output", "malformed_tool_use"),  # Bedrock
        # Google
        *("malformed_function_call", "unexpected_tool_call", "too_many_tool_calls"),
        *("malformed_response", "missing_thought_signature", "no_image", "image_other", "other"),
        "finish_reason_unspecified",
    ),
}
_TABLE = {word: reason for reason, words in _WORDS.items() for word in words}


def finish_reason(native: object, *, called: bool) -> str:
    """Return OpenAI's finish reason for a vendor's.

    `called`: the answer has tool calls for the caller. A forced call ends in `stop` at OpenAI
    itself, but clients look for `tool_calls`. An absent or empty reason is a natural end, because
    the protocol itself has ended the answer.
    """
    if native is None or native == "":
        word = "stop"
    else:
        word = _TABLE.get(native.strip().lower(), "error") if isinstance(native, str) else "error"
    return "tool_calls" if word == "stop" and called else word


class SingleChoice:
    """Builder of the chunks of a stream with one choice. Empty additions give no chunk."""

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

    def add(self, *, logprobs: Json | None = None, **fields: Any) -> list[Chunk]:
        """Return a chunk with the fields of a delta that are not empty."""
        fields = {name: value for name, value in fields.items() if value}
        if not fields and not logprobs:
            return []
        choice = self._choice(fields)
        if logprobs:
            choice["logprobs"] = logprobs
        return [self._chunk((choice,))]

    def announce(self) -> list[Chunk]:
        """Return a chunk without an addition, which names the answer before its first text."""
        return [self._chunk(())]

    def add_calls(self, *entries: Json) -> list[Chunk]:
        """Return a chunk with entries in the shape of OpenAI's streamed `tool_calls`."""
        return self.add(tool_calls=self._calls.feed(list(entries)))

    def finish(self, native: str | None) -> list[Chunk]:
        """Return a chunk with the finish reason. Only the first finish reason counts."""
        if self.finished:
            return []
        self.finished = True
        empty = self._calls.close()
        choice = self._choice({"tool_calls": empty} if empty else {})
        choice["finish_reason"] = finish_reason(native, called=bool(self._calls))
        choice["native_finish_reason"] = native
        return [self._chunk((choice,))]

    def add_usage(self, usage: Usage | None) -> list[Chunk]:
        """Return a chunk with the usage alone."""
        self.usage = usage
        return [] if usage is None else [self._chunk((), usage)]

    def _choice(self, fields: Json) -> Json:
        if not self._started:
            self._started = True
            opening = None if "tool_calls" in fields else ""
            fields = {"role": "assistant", "content": opening, **fields}
        return {"index": 0, "delta": fields, "finish_reason": None}

    def _chunk(self, choices: Sequence[Json], usage: Usage | None = None) -> Chunk:
        return Chunk(
            choices=choices,
            usage=usage,
            upstream_id=self.upstream_id,
            upstream_model=self.upstream_model,
            service_tier=self.service_tier,
        )


def turn_seed(request: CompletionRequest) -> str:
    """Return the seed of generated tool call ids. Each turn of a conversation has another."""
    messages = request.body.get("messages")
    return f"/{len(messages) if isinstance(messages, list) else 0}"
