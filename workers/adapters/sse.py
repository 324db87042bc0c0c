"""Server-sent events, read from bytes cut anywhere.

Rules: WHATWG HTML, section 9.2 "Server-sent events". Two deliberate differences: an event cut off
by the end of the bytes is delivered (providers forget the last blank line), and `id` and `retry`
are ignored (a POST's stream is never reconnected).
"""

from typing import NamedTuple

from workers.adapters.base import MalformedAnswerError

EVENT_LIMIT = 16 * 1024 * 1024
"""Bytes one event may hold: an image in base64 fits, a runaway upstream does not."""

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One dispatched event. `data` stays bytes because that is what a JSON parser likes best."""

    data: bytes
    name: str = "message"


class SseDecoder:
    """Turns bytes into events.

    Lines are cut before anything is decoded, so a UTF-8 character split between two feeds is no
    special case: neither CR nor LF can occur inside one.
    """

    __slots__ = ("_data", "_first", "_limit", "_name", "_partial", "_size", "_skip_lf")

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._limit = limit
        self._partial: list[bytes] = []  # the unfinished line, joined only when its end arrives
        self._data: list[bytes] = []
        self._name = ""
        self._size = 0  # bytes held for the open event, its unfinished line included
        self._first = True
        self._skip_lf = False  # the last feed ended in CR: a leading LF belongs to it

    def feed(self, data: bytes) -> list[Event]:
        """Return the events completed by `data`. Raises MalformedAnswerError past the limit."""
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if b"\n" not in data and b"\r" not in data:
            self._hold(data)
            return []
        if self._partial:
            data = self._joined() + data
        lines = data.splitlines()
        self._skip_lf = data.endswith(b"\r")
        rest = b"" if data.endswith((b"\n", b"\r")) else lines.pop()
        events = self._take(lines)
        self._hold(rest)
        return events

    def close(self) -> list[Event]:
        """Return the event that was still open when the bytes ended, if there was one."""
        return self._take([self._joined(), b""])

    def _take(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        if self._first:
            self._first = False
            lines[0] = lines[0].removeprefix(_BOM)
        for line in lines:
            if line[:6] == b"data: ":
                self._append(line[6:])
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
            self._append(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")

    def _append(self, value: bytes) -> None:
        self._data.append(value)
        self._grow(len(value) + 1)

    def _dispatch(self) -> Event:
        event = Event(b"\n".join(self._data), self._name or "message")
        self._data.clear()
        self._name = ""
        self._size = 0
        return event

    def _hold(self, rest: bytes) -> None:
        if rest:
            self._partial.append(rest)
            self._grow(len(rest))

    def _joined(self) -> bytes:
        line = b"".join(self._partial)
        self._partial.clear()
        self._size -= len(line)
        return line

    def _grow(self, by: int) -> None:
        self._size += by
        if self._size > self._limit:
            raise MalformedAnswerError(f"an event of the stream is over {self._limit} bytes")
