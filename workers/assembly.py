"""Chunks into one answer: what a stream said, as the response that is stored and polled."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from broker.completion import Chunk, Completion, Json

TEXTS = ("content", "reasoning", "refusal")
LISTS = ("images", "annotations")


class Assembly:
    """Collects the chunks of one streamed answer, and shows what they say as it comes."""

    def __init__(self, show: Callable[[Chunk], None]) -> None:
        self._show = show
        self._choices: dict[int, _Choice] = {}
        self._said = Completion(choices=())

    def add(self, chunk: Chunk) -> None:
        self._collect(chunk)
        if chunk.choices:
            self._show(chunk)

    def _collect(self, chunk: Chunk) -> None:
        for choice in chunk.choices:
            index = choice.get("index", 0)
            if index not in self._choices:
                self._choices[index] = _Choice(index)
            self._choices[index].add(choice)
        known = {
            name: value
            for name in (
                "usage",
                "upstream_id",
                "upstream_model",
                "system_fingerprint",
                "service_tier",
            )
            if (value := getattr(chunk, name)) is not None
        }
        if known:
            self._said = replace(self._said, **known)

    def completion(self) -> Completion:
        """Return the answer as far as it has come."""
        choices = [self._choices[index].json() for index in sorted(self._choices)]
        return replace(self._said, choices=choices)


class _Choice:
    """One choice as it grows."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._texts: dict[str, list[str]] = {}
        self._lists: dict[str, list[Any]] = {}
        self._details: list[Json] = []
        self._tools: dict[int, Json] = {}
        self._audio: Json = {}
        self._logprobs: dict[str, list[Any]] = {}
        self._finish: Json = {}

    def add(self, choice: Json) -> None:
        delta = choice.get("delta") or {}
        for name, value in delta.items():
            if name in TEXTS:
                if value:
                    self._texts.setdefault(name, []).append(value)
            elif name in LISTS:
                self._lists.setdefault(name, []).extend(value or ())
            elif name == "tool_calls":
                self._add_tools(value or ())
            elif name == "reasoning_details":
                self._add_details(value or ())
            elif name == "audio":
                self._add_audio(value or {})
        for name, tokens in (choice.get("logprobs") or {}).items():
            self._logprobs.setdefault(name, []).extend(tokens or ())
        if choice.get("finish_reason"):
            self._finish = {
                "finish_reason": choice["finish_reason"],
                "native_finish_reason": choice.get("native_finish_reason"),
            }

    def json(self) -> Json:
        message: Json = {"role": "assistant", "content": self._text("content")}
        message |= {name: self._text(name) for name in TEXTS[1:] if name in self._texts}
        message |= {name: values for name, values in self._lists.items() if values}
        if self._details:
            message["reasoning_details"] = self._details
        if self._tools:
            message["tool_calls"] = [self._tools[index] for index in sorted(self._tools)]
        if self._audio:
            message["audio"] = self._audio
        choice = {"index": self._index, "message": message, "logprobs": self._logprobs or None}
        return choice | (self._finish or {"finish_reason": None, "native_finish_reason": None})

    def _text(self, name: str) -> str | None:
        return "".join(self._texts[name]) if name in self._texts else None

    def _add_tools(self, calls: Sequence[Json]) -> None:
        for call in calls:
            index = call.get("index", 0)
            part = call.get("function") or {}
            known = self._tools.setdefault(
                index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            )
            known["id"] = known["id"] or call.get("id") or ""
            function = known["function"]
            function["name"] = function["name"] or part.get("name") or ""
            function["arguments"] += part.get("arguments") or ""

    def _add_details(self, details: Sequence[Json]) -> None:
        """Join text that continues the previous detail of the same kind and index."""
        for detail in details:
            last = self._details[-1] if self._details else None
            if last is None or _block(last) != _block(detail):
                self._details.append(dict(detail))
                continue
            for name, value in detail.items():
                grows = name in {"text", "summary"} and isinstance(last.get(name), str) and value
                last[name] = last[name] + value if grows else value or last.get(name)

    def _add_audio(self, audio: Json) -> None:
        for name, value in audio.items():
            grows = name in {"data", "transcript"} and name in self._audio
            self._audio[name] = self._audio[name] + value if grows else value


def _block(detail: Json) -> tuple[Any, Any]:
    """Details that belong together carry the same type and index; encrypted ones stand alone."""
    if detail.get("type") == "reasoning.encrypted":
        return ("encrypted", id(detail))
    return detail.get("type"), detail.get("index")
