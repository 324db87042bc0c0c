"""Assembly of chunks into one answer, which is stored and can be fetched later."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from broker.completion import Chunk, Completion, Json, Usage

TEXTS = ("content", "reasoning", "refusal")

_APPENDED = frozenset({"images", "annotations"})
"""Lists whose entries are whole, even with an index."""

_STATED_ONCE = frozenset(
    {"role", "id", "type", "name", "index", "format", "mime_type", "expires_at", "signature"}
)
"""Texts that are not continued. A later one replaces an earlier one."""

_LATEST = ("usage", "upstream_id", "upstream_model", "system_fingerprint", "service_tier")


class Assembly:
    """Collector of the chunks of one streamed answer, which also shows them to the caller.

    Chunks without content (a role, an empty text) are held back until the first one with content.
    Until then the attempt can be repeated elsewhere unnoticed.
    """

    def __init__(self, show: Callable[[Chunk], None]) -> None:
        self._show = show
        self._silent: list[Chunk] | None = []  # chunks held back; None once one had content
        self._choices: dict[int, _Choice] = {}
        self._answer = Completion(choices=())
        self.is_counted = False  # the provider has stated the usage beside its text

    def add(self, chunk: Chunk) -> bool:
        """Add a chunk. Return whether it has content."""
        self._collect(chunk)
        if not chunk.choices:
            return False
        if self._silent is None:
            self._show(chunk)
            return True
        self._silent.append(chunk)
        if not any(_has_content(choice) for choice in chunk.choices):
            return False
        held, self._silent = self._silent, None
        for each in held:
            self._show(each)
        return True

    def count(self, usage: Usage | None) -> None:
        """Note the usage stated so far, for an answer that may end here."""
        if usage is not None and self._answer.usage is None:
            self._answer = replace(self._answer, usage=usage)

    @property
    def usage(self) -> Usage | None:
        """Return the usage that the provider has stated so far."""
        return self._answer.usage

    def completion(self) -> Completion:
        """Return the answer so far."""
        choices = [self._choices[index].json() for index in sorted(self._choices)]
        return replace(self._answer, choices=choices)

    def _collect(self, chunk: Chunk) -> None:
        for choice in chunk.choices:
            index = choice.get("index", 0)
            if index not in self._choices:
                self._choices[index] = _Choice(index)
            self._choices[index].add(choice)
        self.is_counted = self.is_counted or chunk.usage is not None
        known = {name: value for name in _LATEST if (value := getattr(chunk, name)) is not None}
        if known:
            self._answer = replace(self._answer, **known)


class _Choice:
    """One choice as it grows."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._message = _Growing()
        self._details: list[Json] = []
        self._logprobs: dict[str, list[Any]] = {}
        self._rest: Json = {}

    def add(self, choice: Json) -> None:
        for name, value in (choice.get("delta") or {}).items():
            if name == "reasoning_details":
                self._add_details(value or ())
            else:
                self._message.add(name, value)
        for name, tokens in (choice.get("logprobs") or {}).items():
            self._logprobs.setdefault(name, []).extend(tokens or ())
        for name, value in choice.items():
            if name not in ("index", "delta", "logprobs") and value is not None:
                self._rest[name] = value

    def json(self) -> Json:
        message: Json = {"role": "assistant", "content": None, **self._message.json()}
        if self._details:
            message["reasoning_details"] = self._details
        return {
            "index": self._index,
            "message": message,
            "logprobs": self._logprobs or None,
            "finish_reason": None,
            "native_finish_reason": None,
            **self._rest,
        }

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


class _Growing:
    """A JSON object that grows delta by delta. Texts and lists are extended, objects merged."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}

    def add(self, name: str, value: Any) -> None:
        known = self._fields.get(name)
        if value is None:
            self._fields.setdefault(name, None)
        elif isinstance(value, str) and name not in _STATED_ONCE:
            if not isinstance(known, _Text):
                known = self._fields[name] = _Text()
            known.pieces.write(value)
        elif isinstance(value, Mapping):
            if not isinstance(known, _Growing):
                known = self._fields[name] = _Growing()
            known.merge(value)
        elif isinstance(value, list):
            if not isinstance(known, _Entries):
                known = self._fields[name] = _Entries()
            known.add(value, is_indexed=name not in _APPENDED)
        elif value != "" or known is None:
            self._fields[name] = value

    def merge(self, fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            self.add(name, value)

    def json(self) -> Json:
        return {name: _plain(value) for name, value in self._fields.items()}


class _Text:
    """A text that is joined when it is read."""

    def __init__(self) -> None:
        self.pieces = io.StringIO()  # a list of pieces would take many times their size


class _Entries:
    """A list. Entries with an index grow and lose the index; others are appended."""

    def __init__(self) -> None:
        self._indexed: dict[int, _Growing] = {}
        self._added: list[Any] = []

    def add(self, entries: Sequence[Any], *, is_indexed: bool) -> None:
        for entry in entries:
            index = entry.get("index") if is_indexed and isinstance(entry, dict) else None
            if not isinstance(index, int):
                self._added.append(entry)
                continue
            fields = {name: value for name, value in entry.items() if name != "index"}
            self._indexed.setdefault(index, _Growing()).merge(fields)

    def json(self) -> list[Any]:
        return [*(self._indexed[index].json() for index in sorted(self._indexed)), *self._added]


def _plain(value: Any) -> Any:
    if isinstance(value, _Text):
        return value.pieces.getvalue()
    return value.json() if isinstance(value, _Growing | _Entries) else value


def _has_content(choice: Json) -> bool:
    """Return whether a choice adds to the answer, more than its role."""
    delta = (choice.get("delta") or {}).items()
    return bool(
        choice.get("finish_reason")
        or choice.get("logprobs")
        or any(value for name, value in delta if name != "role")
    )


def _block(detail: Json) -> tuple[Any, Any]:
    """Return the key of a detail's block. Each encrypted detail is a block of its own."""
    if detail.get("type") == "reasoning.encrypted":
        return ("encrypted", id(detail))
    return detail.get("type"), detail.get("index")
