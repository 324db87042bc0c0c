"""The record of the messages that a worker runs, from its loop to Celery's main thread."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from broker.transport import Message
from broker.values import immutable

Results: TypeAlias = Mapping[str, int]
"""The numbers of jobs or deliveries of a message by their result."""


@immutable
class TaskStarted:
    """A message was taken and its work has begun."""

    message: Message
    at: float  # Unix time in seconds


@immutable
class TaskEnded:
    """The work of a message has ended."""

    message: Message
    seconds: float  # since it began
    results: Results | None  # None after an unexpected error


@dataclass(slots=True)
class TaskLog:
    """Passes what happens to messages from the loop's thread to the thread that reports it.

    Monitors receive it a little later. A deque is safe between two threads.
    """

    _entries: deque[TaskStarted | TaskEnded] = field(default_factory=lambda: deque(maxlen=100_000))

    def start(self, message: Message, at: float) -> None:
        self._entries.append(TaskStarted(message, at))

    def end(self, message: Message, seconds: float, results: Results | None) -> None:
        self._entries.append(TaskEnded(message, seconds, results))

    def take(self) -> Iterator[TaskStarted | TaskEnded]:
        """Yield what happened since the last call."""
        for _ in range(len(self._entries)):
            yield self._entries.popleft()
