"""Normalisation of the deltas of one choice of a streamed completion."""

from typing import Any

from broker.completion import Json
from workers.adapters.choices import finish_reason
from workers.adapters.openai.response import (
    read_content,
    read_function_call,
    read_native_reason,
    read_reasoning,
    select_fields,
)
from workers.adapters.openai.thinking import ThinkingSplitter
from workers.adapters.tool_calls import ToolCallStream, argument_text, generate_id


class ChoiceStream:
    """Reader of the chunks of one choice. `finished`: its finish reason has come."""

    __slots__ = (
        "_called",
        "_calls",
        "_functions",
        "_index",
        "_reason",
        "_seed",
        "_splitter",
        "_started",
        "annotated",
        "finished",
    )

    def __init__(
        self, index: int, seed: str, *, functions: bool = False, thinking: bool = True
    ) -> None:
        self._index = index
        self._functions = functions
        self._seed = seed
        self._calls = ToolCallStream(seed)
        self._splitter: ThinkingSplitter | None = ThinkingSplitter() if thinking else None
        self._reason: tuple[str | None, str | None] = (None, None)
        self._called = False  # by a `function_call` passed through
        self._started = False
        self.annotated = False
        self.finished = False

    def feed(self, choice: Json) -> Json | None:
        """Return the normalised choice of a chunk, or None where it adds nothing."""
        if choice.get("finish_reason") and not self.finished:
            self._reason = (choice["finish_reason"], read_native_reason(choice))
            self.finished = True
        delta = choice.get("delta")
        if self._splitter is None and type(delta) is dict:  # the usual case, kept short
            content = delta.get("content")
            plain = len(delta) == 1 or (len(delta) == 2 and "role" in delta)  # noqa: PLR2004
            if plain and type(content) is str and not choice.get("logprobs"):
                return self._addition({"content": content}) if content else None
        if not isinstance(delta, dict):
            # Some vendors send the whole message once, others a `message` beside every delta.
            message = choice.get("message")
            delta = message if isinstance(message, dict) and not self._started else {}
        return self._read(choice, delta)

    def finish(self) -> Json:
        """Return the choice's last delta, with its finish reason."""
        added: Json = {}
        if self._splitter is not None:
            reasoning, text = self._splitter.close()
            added = _present(content=text, reasoning=reasoning)
        if empty := self._calls.close():
            added["tool_calls"] = empty
        given, native = self._reason
        called = self._called or bool(self._calls)
        last = self._addition(added)
        last["finish_reason"] = finish_reason(given, called=called)
        last["native_finish_reason"] = native
        return last

    def _read(self, choice: Json, delta: Json) -> Json | None:
        added = self._texts(delta)
        added |= select_fields(delta)
        self.annotated = self.annotated or "annotations" in added
        if calls := self._calls.feed(delta.get("tool_calls")):
            added["tool_calls"] = calls
        if "function_call" in delta:
            self._read_function(added, delta)
        if not self._started:
            self._started = True
            opening = None if "tool_calls" in added or "function_call" in added else ""
            added = {"role": "assistant", "content": opening, **added}
        logprobs = choice.get("logprobs")
        if not added and not _says_something(logprobs):
            return None
        addition = self._addition(added)
        if _says_something(logprobs):
            addition["logprobs"] = logprobs
        return addition

    def _texts(self, delta: Json) -> Json:
        parts = read_content(delta.get("content"))
        text = parts.text or ""
        reasoning = read_reasoning(delta) or parts.reasoning
        if self._splitter is not None:
            if reasoning:
                # A vendor with a field for reasoning does not put it into the content as well.
                text = self._splitter.close()[1] + text
                self._splitter = None
            elif text:
                reasoning, text = self._splitter.feed(text)
                if self._splitter.is_done:
                    self._splitter = None
        added = _present(content=text, reasoning=reasoning, refusal=delta.get("refusal"))
        if parts.images:
            added["images"] = list(parts.images)
        return added

    def _read_function(self, added: Json, delta: Json) -> None:
        call = read_function_call(delta)
        if call is None:
            return
        if not self._functions:
            call_id = generate_id(self._seed, 0, "")  # this form has no ids
            added["tool_calls"] = self._calls.feed([{"index": 0, "id": call_id, "function": call}])
            return
        self._called = True
        name = {"name": call["name"]} if call.get("name") else {}
        added["function_call"] = {**name, "arguments": argument_text(call.get("arguments"))}

    def _addition(self, delta: Json) -> Json:
        return {"index": self._index, "delta": delta, "finish_reason": None}


def _present(**values: Any) -> Json:
    return {name: value for name, value in values.items() if value and isinstance(value, str)}


def _says_something(logprobs: object) -> bool:
    return isinstance(logprobs, dict) and any(logprobs.values())
