"""What the stream readers of event-based wires have in common."""

from abc import ABC, abstractmethod

from broker.completion import Chunk
from workers.adapters.base import MalformedAnswerError, ProviderFailureError
from workers.adapters.framing import Framing
from workers.adapters.sse import Event, SseDecoder


class EventReader(ABC):
    """A `StreamReader` whose wire says everything in events.

    Chunks completed before a failure are handed over first: then the failure is raised by the next
    call, so that where the bytes were cut never decides what the caller gets to see.
    """

    __slots__ = ("_failure", "_framing")

    def __init__(self, framing: Framing | SseDecoder | None = None) -> None:
        self._framing = framing or Framing()
        self._failure: Exception | None = None

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks completed by `data`."""
        if self._failure is not None:
            raise self._failure
        return self._read(self._framing.feed(data))

    def close(self) -> list[Chunk]:
        """Return the last chunks. Raises MalformedAnswerError where no finish reason came."""
        chunks = self._read(self._framing.close()) if self._failure is None else []
        if self._failure is not None:
            raise self._failure
        self._end(chunks)
        return chunks

    @abstractmethod
    def _take(self, event: Event, chunks: list[Chunk]) -> None:
        """Add what an event says to `chunks`; raises the two errors of the seam."""

    @abstractmethod
    def _end(self, chunks: list[Chunk]) -> None:
        """Add what the end of the bytes brings; raises MalformedAnswerError if it came too soon."""

    def _read(self, events: list[Event]) -> list[Chunk]:
        chunks: list[Chunk] = []
        try:
            for event in events:
                self._take(event, chunks)
        except (MalformedAnswerError, ProviderFailureError) as failure:
            self._failure = failure
            if not chunks:
                raise
        return chunks
