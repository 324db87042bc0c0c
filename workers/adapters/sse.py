"""Server-sent events read from bytes that are cut anywhere, even within a surrogate pair."""

import re
from collections.abc import Iterable
from typing import NamedTuple

BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One dispatched event. `data` stays bytes, which a JSON parser reads fastest."""

    data: bytes
    name: str = "message"
    is_document: bool = False  # a JSON document of its own, not an event of a stream


class SseDecoder:
    """Decoder of bytes into events (HTML standard, "Server-sent events").

    Lines are split before anything is decoded. A UTF-8 character split between two feeds needs no
    special case, because neither CR nor LF occurs inside one. The caller bounds the size of the
    whole stream.
    """

    __slots__ = ("_data", "_first", "_name", "_partial", "_skip_lf")

    def __init__(self) -> None:
        self._partial: list[bytes] = []  # the unfinished line, joined only when its end arrives
        self._data: list[bytes] = []
        self._name = ""
        self._first = True
        self._skip_lf = False  # the last feed ended in CR: a leading LF belongs to it

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events completed by `data`."""
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if b"\n" not in data and b"\r" not in data:
            self._hold(data)
            return []
        if self._partial:
            data = self._join_partial() + data
        lines = data.splitlines()
        self._skip_lf = data.endswith(b"\r")
        rest = b"" if data.endswith((b"\n", b"\r")) else lines.pop()
        events = self._take(lines)
        self._hold(rest)
        return events

    def close(self) -> list[ServerSentEvent]:
        """Return the event that was still open when the bytes ended, if there was one."""
        return self._take([self._join_partial(), b""])

    def _take(self, lines: list[bytes]) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        if self._first:
            self._first = False
            lines[0] = lines[0].removeprefix(BOM)
        for line in lines:
            if line[:6] == b"data: ":
                self._data.append(line[6:])
            elif line:
                self._field(line)
            elif self._data:
                events.append(self._dispatch())
            else:
                self._name = ""
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")

    def _dispatch(self) -> ServerSentEvent:
        event = ServerSentEvent(b"\n".join(self._data), self._name or "message")
        self._data.clear()
        self._name = ""
        return event

    def _hold(self, rest: bytes) -> None:
        if rest:
            self._partial.append(rest)

    def _join_partial(self) -> bytes:
        line = b"".join(self._partial)
        self._partial.clear()
        return line


_MARK = b"\\u"
_FIRST_HALF = re.compile(
    rb'(?P<before>(?<!\\)(?:\\\\)*)(?P<half>\\u[dD][89abAB][0-9a-fA-F]{2})"'
)  # at the end of a string; its backslash is not itself escaped
_SECOND_HALF = re.compile(rb'(?<!\\)"(?=\\u[dD][c-fC-F][0-9a-fA-F]{2})')  # at a string's beginning


class SplitPairs:
    """A buffer that holds back an event ending in half a surrogate pair until the next has come."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: ServerSentEvent | None = None

    def feed(self, events: Iterable[ServerSentEvent]) -> list[ServerSentEvent]:
        """Return the events that are complete."""
        whole: list[ServerSentEvent] = []
        for event in events:
            if self._held is not None:
                first, event = _join_halves(self._held, event)  # noqa: PLW2901  # the same event, repaired
                whole.append(first)
                self._held = None
            if _MARK in event.data and _FIRST_HALF.search(event.data):
                self._held = event
            else:
                whole.append(event)
        return whole

    def close(self) -> list[ServerSentEvent]:
        """Return the event that is still held back, if there is one."""
        held, self._held = self._held, None
        return [] if held is None else [held]


def _join_halves(
    first: ServerSentEvent, second: ServerSentEvent
) -> tuple[ServerSentEvent, ServerSentEvent]:
    """Move the first halves of pairs into the second event, in front of their second halves."""
    halves = [found["half"] for found in _FIRST_HALF.finditer(first.data)]
    if len(halves) != len(_SECOND_HALF.findall(second.data)):
        return first, second
    moved = iter(halves)
    return (
        first._replace(data=_FIRST_HALF.sub(lambda found: found["before"] + b'"', first.data)),
        second._replace(data=_SECOND_HALF.sub(lambda _: b'"' + next(moved), second.data)),
    )
