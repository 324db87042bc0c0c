"""Collection of the chunks of a streamed chat answer: its choices, as the whole answer has them.

Clients collect chunks in the same way (`openai.lib.streaming._deltas.accumulate_delta`).
"""

import base64
import binascii
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from broker.completion import Json

_APPENDED = frozenset({"images", "annotations"})
"""Lists whose entries are whole, even with an index."""

_STATED_ONCE = frozenset(
    {"role", "id", "type", "name", "index", "format", "mime_type", "expires_at", "signature"}
)
"""Texts that are not continued. A later one replaces an earlier one."""

_PADDED = re.compile(r"[^=]+=*")


class ChoiceCollector:
    """Collector of the choices of chunks."""

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}

    def add(self, choices: Iterable[Json]) -> None:
        """Add the choices of one chunk: `index`, `delta`, and what stands beside the delta."""
        for choice in choices:
            index = choice.get("index", 0)
            if index not in self._choices:
                self._choices[index] = _Choice(index)
            self._choices[index].add(choice)

    def choices(self) -> Sequence[Json]:
        """Return the choices so far, by index, each with its `message` instead of a `delta`."""
        return [self._choices[index].json() for index in sorted(self._choices)]


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
        fields = {name: _plain(value) for name, value in self._fields.items()}
        if isinstance(data := fields.get("data"), str):
            fields["data"] = join_base64(data)
        return fields


def join_base64(text: str) -> str:
    """Return one base64 text for several that were joined, each with its own padding."""
    if "=" not in text.rstrip("="):
        return text
    try:
        contents = [base64.b64decode(each) for each in _PADDED.findall(text)]
    except binascii.Error:
        return text
    return base64.b64encode(b"".join(contents)).decode()


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


def _block(detail: Json) -> tuple[Any, Any]:
    """Return the key of a detail's block. Each encrypted detail is a block of its own."""
    if detail.get("type") == "reasoning.encrypted":
        return ("encrypted", id(detail))
    return detail.get("type"), detail.get("index")
