"""Conversion of vendors' and older clients' tool calls into OpenAI's shape."""

from hashlib import blake2b
from typing import Any

import orjson

from broker.completion import Json
from workers.adapters.json_shapes import as_objects, read_call

_TEXT_OF = {"function": "arguments", "custom": "input"}


def generate_id(seed: str, index: int, name: str) -> str:
    """Return an id for a call without one. It is the same whenever the answer is read again."""
    digest = blake2b(f"{seed}\0{index}\0{name}".encode(), digest_size=12)
    return f"call_{digest.hexdigest()}"


def read_calls(raw: object, seed: str) -> list[Json]:
    """Normalise the `tool_calls` of a whole answer. Drop entries that name no tool."""
    calls: list[Json] = []
    ids: set[str] = set()
    for entry in as_objects(raw):
        kind, holder = read_call(entry)
        name = holder.get("name")
        if not isinstance(name, str) or not name:
            continue
        text = argument_text(holder.get(_TEXT_OF[kind]))
        call_id = entry.get("id")
        if not isinstance(call_id, str) or not call_id or call_id in ids:
            call_id = generate_id(seed, len(calls), name)
        ids.add(call_id)
        call: Json = {
            "id": call_id,
            "type": kind,
            kind: {"name": name, _TEXT_OF[kind]: text or ("{}" if kind == "function" else "")},
        }
        if entry.get("extra_content"):
            call["extra_content"] = entry["extra_content"]
        calls.append(call)
    return calls


def argument_text(arguments: object) -> str:
    """Return arguments as text. Some vendors send the object itself."""
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()


class _StreamedCall:
    """One call of a streamed answer, open until the stream ends."""

    __slots__ = ("extra", "id", "index", "kind", "name", "parts", "upstream_index")

    def __init__(self, kind: str, call_id: str, upstream_index: int | None) -> None:
        self.kind = kind
        self.id = call_id
        self.upstream_index = upstream_index
        self.index = -1  # given when its name is known, so that indexes have no gaps
        self.name = ""
        self.parts: list[str] = []
        self.extra: Any = None  # `extra_content`

    @property
    def complete(self) -> bool:
        try:
            orjson.loads("".join(self.parts))
        except orjson.JSONDecodeError:
            return False
        return True


def _continuation(call: _StreamedCall, text: str, extra: Any) -> Json | None:
    """Return the delta of a later entry of a call, or None where it adds nothing."""
    added: Json = {call.kind: {_TEXT_OF[call.kind]: text}} if text else {}
    if extra:
        call.extra = added["extra_content"] = extra
    return {"index": call.index, **added} if added else None


class ToolCallStream:
    """Normaliser of streamed calls: each gets its own index, independent of the vendor's.

    Vendors send parallel calls under one index, continue a call with an empty, null or absent id or
    name, leave indexes out, or send whole calls at once.
    """

    __slots__ = ("_by_id", "_by_index", "_last", "_opened", "_seed", "_started")

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._opened: list[_StreamedCall] = []
        self._started: list[_StreamedCall] = []
        self._by_id: dict[str, _StreamedCall] = {}
        self._by_index: dict[int, _StreamedCall] = {}
        self._last: _StreamedCall | None = None

    def __bool__(self) -> bool:
        return bool(self._started)

    def feed(self, raw: object) -> list[Json]:
        """Return the normalised deltas of one chunk's `tool_calls`."""
        deltas = [self._feed_one(entry) for entry in as_objects(raw)]
        return [delta for delta in deltas if delta]

    def close(self) -> list[Json]:
        """Return deltas for calls with a name only, and `{}` for calls without arguments."""
        late = [self._start(call) for call in self._opened if call.name and call.index < 0]
        return late + [
            {"index": call.index, "function": {"arguments": "{}"}}
            for call in self._started
            if call.kind == "function" and not any(call.parts)
        ]

    def _feed_one(self, entry: Json) -> Json | None:
        kind, holder = read_call(entry)
        name = holder.get("name")
        name = name if isinstance(name, str) else ""
        text = argument_text(holder.get(_TEXT_OF[kind]))
        call = self._call_for(entry, kind, name)
        call.parts.append(text)
        extra = entry.get("extra_content")
        if call.index >= 0:
            return _continuation(call, text, None if extra == call.extra else extra)
        if name or not call.name:
            call.kind, call.name = kind, name
        call.extra = call.extra or extra
        # An id may still follow a name that stands alone; with text the call has really begun.
        begun = call.name and (call.id or any(call.parts))
        return self._start(call) if begun else None

    def _start(self, call: _StreamedCall) -> Json:
        call.index = len(self._started)
        self._started.append(call)
        delta: Json = {
            "index": call.index,
            "id": call.id or generate_id(self._seed, call.index, call.name),
            "type": call.kind,
            call.kind: {"name": call.name, _TEXT_OF[call.kind]: "".join(call.parts)},
        }
        if call.extra:
            delta["extra_content"] = call.extra
        return delta

    def _call_for(self, entry: Json, kind: str, name: str) -> _StreamedCall:
        call_id = entry.get("id")
        call_id = call_id if isinstance(call_id, str) else ""
        index = entry.get("index")
        index = index if isinstance(index, int) else None
        known = self._by_id.get(call_id)
        if known is not None and not (name and index is not None and index != known.upstream_index):
            return known
        open_call = self._last if index is None else self._by_index.get(index)
        if open_call is not None and self._continues(open_call, call_id, index, name):
            if call_id and not open_call.id and open_call.index < 0 and known is None:
                open_call.id = call_id  # the opener came without it
                self._by_id[call_id] = open_call
            return open_call
        return self._open(kind, call_id, index)

    def _open(self, kind: str, call_id: str, index: int | None) -> _StreamedCall:
        if call_id in self._by_id:
            call_id = ""  # another call has it already: generate one
        call = self._last = _StreamedCall(kind, call_id, index)
        self._opened.append(call)
        if call_id:
            self._by_id[call_id] = call
        if index is not None:
            self._by_index[index] = call
        return call

    @staticmethod
    def _continues(call: _StreamedCall, call_id: str, index: int | None, name: str) -> bool:
        """Return whether an entry belongs to `call` although its id does not match."""
        if not name or not call.name:
            return True
        if call.index < 0 and not call.id:
            return name == call.name  # its opener was empty but for the name
        if call_id or index is None:
            return False  # it has a name and an identity of its own
        return name == call.name and not call.complete


def with_tools(body: Json) -> Json:
    """Return a body whose `functions` are tools. `body` itself is not changed."""
    functions = as_objects(body.get("functions"))
    if not functions or body.get("tools"):
        return body
    converted = {
        name: value for name, value in body.items() if name not in ("functions", "function_call")
    }
    converted["tools"] = [{"type": "function", "function": function} for function in functions]
    converted["parallel_tool_calls"] = False  # `function_call` holds one call only
    if choice := _choice(body.get("function_call")):
        converted["tool_choice"] = choice
    return converted


def _choice(given: Any) -> Any:
    """Return a request's `function_call` as a `tool_choice`."""
    if isinstance(given, dict) and given.get("name"):
        return {"type": "function", "function": {"name": given["name"]}}
    return given if given in ("none", "auto") else None
