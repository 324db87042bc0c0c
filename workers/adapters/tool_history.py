"""Consistent tool calls and results in a conversation, for wires that check them.

Clients send histories that other models wrote. Ids repeat in every turn (`list_dir:0`), are empty,
or contain characters that a wire refuses. Calls may have OpenAI's older form, `function_call`.
Here every call gets a unique id, and each result names its call and directly follows it. Further
results of a call are joined to its first one.

A call keeps its id where the wire allows it. A new id depends only on the messages before it, so a
conversation that grows keeps its ids, and a prompt cache stays valid.
"""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count
from typing import Any, TypeAlias

from broker.completion import Json
from workers.adapters.json_shapes import as_objects, as_text, read_call

IdForm: TypeAlias = Callable[[str, int], str]
"""Function from a given id and the number of the attempt (from 0) to an id the wire allows."""


@dataclass(slots=True, eq=False)
class _HistoryCall:
    """One call of the conversation, and its results."""

    given: str
    id: str
    name: str
    results: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class _Turn:
    """A message, and the calls that it makes."""

    message: Any
    calls: list[_HistoryCall] = field(default_factory=list)


def with_matched_calls(messages: Any, form: IdForm) -> list[Any]:
    """Return the messages with a unique id for each call, and each result after its call."""
    history = _History(form)
    for message in messages if isinstance(messages, list) else ():
        history.add(message)
    return history.messages()


def unrestricted_id(given: str, attempt: int) -> str:
    """Return an id for wires that accept any text: the given one, numbered where it is taken."""
    return f"{given or 'call'}{_suffix(attempt)}"


def alphanumeric_id(given: str, attempt: int) -> str:
    """Return an id of letters, digits, underscores and hyphens."""
    return unrestricted_id(re.sub(r"[^a-zA-Z0-9_-]", "_", given), attempt)


def nine_character_id(given: str, attempt: int) -> str:
    """Return an id of nine letters and digits."""
    if not attempt and re.fullmatch(r"[A-Za-z0-9]{9}", given):
        return given
    return _digest(given, attempt, size=5)[:9]


def sixty_four_character_id(given: str, attempt: int) -> str:
    """Return an id of at most 64 letters, digits, underscores and hyphens."""
    if not attempt and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", given):
        return given
    return f"tooluse_{_digest(given, attempt, size=12)}"


def _suffix(attempt: int) -> str:
    return f"_{attempt + 1}" if attempt else ""


def _digest(given: str, attempt: int, *, size: int) -> str:
    seed = f"{given}\0{attempt}" if attempt else given
    return blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()


class _Waiting:
    """Calls without a result, by a key: those of the latest turn first, in their order.

    Answered calls are dropped lazily, so a long conversation is read in linear time.
    """

    def __init__(self) -> None:
        self._turns: dict[str, list[deque[_HistoryCall]]] = {}
        self._last_turn: dict[str, int] = {}

    def add(self, key: str, call: _HistoryCall, turn: int) -> None:
        queues = self._turns.setdefault(key, [])
        if not queues or self._last_turn.get(key) != turn:
            queues.append(deque())
            self._last_turn[key] = turn
        queues[-1].append(call)

    def first(self, key: str) -> _HistoryCall | None:
        queues = self._turns.get(key, [])
        while queues:
            while queues[-1] and queues[-1][0].results:
                queues[-1].popleft()
            if queues[-1]:
                return queues[-1][0]
            queues.pop()
        return None


class _History:
    """The turns of a conversation, read message by message."""

    def __init__(self, form: IdForm) -> None:
        self._form = form
        self._turns: list[_Turn] = []
        self._used: set[str] = set()
        self._attempts: dict[str, int] = {}  # ids tried so far, by the given one
        self._by_id, self._by_name, self._all = _Waiting(), _Waiting(), _Waiting()
        self._latest: dict[str, _HistoryCall] = {}  # by given id

    def add(self, message: Any) -> None:
        """Add a message as a turn, or a result to its call."""
        role = message.get("role") if isinstance(message, dict) else None
        if role == "assistant":
            self._turns.append(self._turn(message))
        elif role in ("tool", "function"):
            self._add_result(message)
        else:
            self._turns.append(_Turn(message))

    def messages(self) -> list[Any]:
        """Return all messages in their order."""
        ordered: list[Any] = []
        for turn in self._turns:
            ordered.append(turn.message)
            ordered += [_join(call.results) for call in turn.calls if call.results]
        return ordered

    def _turn(self, message: Json) -> _Turn:
        entries = as_objects(message.get("tool_calls"))
        if not entries and (old := _old_call(message)):
            entries = [old]
        if not entries:
            return _Turn(message)
        calls = [self._call(entry) for entry in entries]
        renamed = {name: value for name, value in message.items() if name != "function_call"}
        renamed["tool_calls"] = [
            {**entry, "id": call.id} for entry, call in zip(entries, calls, strict=True)
        ]
        return _Turn(_with_renamed_details(renamed, calls), calls)

    def _call(self, entry: Json) -> _HistoryCall:
        given = as_text(entry.get("id"))
        call = _HistoryCall(given, self._fresh(given), as_text(read_call(entry)[1].get("name")))
        turn = len(self._turns)
        self._by_id.add(given, call, turn)
        self._by_name.add(call.name, call, turn)
        self._all.add("", call, turn)
        self._latest[given] = call
        return call

    def _fresh(self, given: str) -> str:
        """Return an id that no earlier call has."""
        for attempt in count(self._attempts.get(given, 0)):
            call_id = self._form(given, attempt)
            if call_id not in self._used:
                break
        self._attempts[given] = attempt + 1
        self._used.add(call_id)
        return call_id

    def _add_result(self, message: Json) -> None:
        given = as_text(message.get("tool_call_id"))
        call = self._find_call(given, as_text(message.get("name")))
        call_id = self._form(given, 0) if call is None else call.id
        result = {**message, "role": "tool", "tool_call_id": call_id}
        if call is None:
            self._turns.append(_Turn(result))
        else:
            call.results.append(result)

    def _find_call(self, given: str, name: str) -> _HistoryCall | None:
        """Return the call of a result: by its id, else by its name, else the next one."""
        if given:
            return self._by_id.first(given) or self._latest.get(given)
        return (self._by_name.first(name) if name else None) or self._all.first("")


def _join(results: list[Json]) -> Json:
    """Join the results of one call. Strict wires accept one result for each call."""
    first = results[0]
    if len(results) == 1:
        return first
    contents = [each["content"] for each in results if each.get("content")]
    if all(isinstance(each, str) for each in contents):
        return {**first, "content": "\n".join(dict.fromkeys(contents))}
    return {**first, "content": [part for each in contents for part in _parts(each)]}


def _parts(content: Any) -> list[Any]:
    """Return a content as a list of parts."""
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if isinstance(content, str) else [content]


def _old_call(message: Json) -> Json | None:
    """Return a `function_call`, OpenAI's form before `tools`, as an entry of `tool_calls`."""
    call = message.get("function_call")
    if not isinstance(call, dict) or not call.get("name"):
        return None
    function = {"name": call["name"], "arguments": call.get("arguments") or "{}"}
    return {"id": "", "type": "function", "function": function}


def _with_renamed_details(message: Json, calls: list[_HistoryCall]) -> Json:
    """Return the message with the new ids of its calls in the reasoning details."""
    details = message.get("reasoning_details")
    new_ids: dict[Any, str] = {}
    for call in calls:
        if call.given:
            new_ids.setdefault(call.given, call.id)
    if not isinstance(details, list) or all(old == new for old, new in new_ids.items()):
        return message
    renamed = [
        {**detail, "id": new_ids[detail["id"]]}
        if isinstance(detail, dict) and as_text(detail.get("id")) in new_ids
        else detail
        for detail in details
    ]
    return {**message, "reasoning_details": renamed}
