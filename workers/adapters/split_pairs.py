r"""Joins the halves of a surrogate pair that a gateway cut between two events of a stream.

A gateway that counts UTF-16 units may end one delta with the first half of a character (`\\ud83d`)
and begin the next with the second (`\\ude0a`). Neither event alone says which character it is.
"""

import re
from collections.abc import Iterable

from workers.adapters.sse import ServerSentEvent

_MARK = b"\\u"
_FIRST_HALF = re.compile(
    rb'(?P<before>(?<!\\)(?:\\\\)*)(?P<half>\\u[dD][89abAB][0-9a-fA-F]{2})"'
)  # at the end of a string; its backslash is not itself escaped
_SECOND_HALF = re.compile(rb'(?<!\\)"(?=\\u[dD][c-fC-F][0-9a-fA-F]{2})')  # at a string's beginning


class SplitPairs:
    """Holds back an event that ends in half a pair until the next event has come."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: ServerSentEvent | None = None

    def feed(self, events: Iterable[ServerSentEvent]) -> list[ServerSentEvent]:
        """Return the events that are complete."""
        whole: list[ServerSentEvent] = []
        for event in events:
            if self._held is not None:
                first, event = _joined(self._held, event)  # noqa: PLW2901  # the same event, mended
                whole.append(first)
                self._held = None
            if _MARK in event.data and _FIRST_HALF.search(event.data):
                self._held = event
            else:
                whole.append(event)
        return whole

    def close(self) -> list[ServerSentEvent]:
        """Return the event that is still held back."""
        held, self._held = self._held, None
        return [] if held is None else [held]


def _joined(
    first: ServerSentEvent, second: ServerSentEvent
) -> tuple[ServerSentEvent, ServerSentEvent]:
    """Move the first halves into the second event, where each finds its second half."""
    halves = [found["half"] for found in _FIRST_HALF.finditer(first.data)]
    if len(halves) != len(_SECOND_HALF.findall(second.data)):
        return first, second
    moved = iter(halves)
    return (
        first._replace(data=_FIRST_HALF.sub(lambda found: found["before"] + b'"', first.data)),
        second._replace(data=_SECOND_HALF.sub(lambda _: b'"' + next(moved), second.data)),
    )
