"""What the stream readers of event-based wires have in common."""

from abc import ABC, abstractmethod

from broker.completion import Chunk, Usage
from workers.adapters.base import (
    CutOffError,
    MalformedAnswerError,
    ProviderFailureError,
    Stage,
)
from workers.adapters.framing import Framing
from workers.adapters.split_pairs import SplitPairs
from workers.adapters.sse import ServerSentEvent


class EventReader(ABC):
    """A `StreamReader` whose wire says everything in events.

    Chunks completed before a failure are handed over first: then the failure is raised by the next
    call, so that where the bytes were cut never decides what the caller gets to see. Once the
    answer is finished, what cannot be read changes nothing.
    """

    __slots__ = ("_failure", "_framing", "_pairs")

    def __init__(self, framing: Framing | None = None) -> None:
        self._framing = framing or Framing()
        self._pairs = SplitPairs()
        self._failure: Exception | None = None

    @property
    @abstractmethod
    def stage(self) -> Stage:
        """Return the stage of the answer. Once it is not OPEN, the answer stands."""

    @property
    @abstractmethod
    def usage(self) -> Usage | None:
        """The usage that the provider has stated so far."""

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks completed by `data`."""
        if self._failure is not None:
            raise self._failure
        if self.stage is Stage.OVER:
            return []
        try:
            events = self._framing.feed(data)
        except MalformedAnswerError:
            if self.stage is Stage.OPEN:
                raise
            return []
        return self._read(self._pairs.feed(events))

    def close(self) -> list[Chunk]:
        """Return the last chunks. Raises CutOffError where no finish reason came."""
        chunks = [] if self._failure is not None else self._read_rest()
        if self._failure is not None:
            raise self._failure
        self._end(chunks)
        return chunks

    @abstractmethod
    def _take(self, event: ServerSentEvent, chunks: list[Chunk]) -> None:
        """Add what an event says to `chunks`; raises the errors of the seam."""

    @abstractmethod
    def _end(self, chunks: list[Chunk]) -> None:
        """Add what the end of the bytes brings; raises CutOffError if it came too soon."""

    def _read(self, events: list[ServerSentEvent]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for event in events:
            try:
                self._take(event, chunks)
            except (MalformedAnswerError, ProviderFailureError) as failure:
                if self.stage is not Stage.OPEN and isinstance(failure, MalformedAnswerError):
                    continue
                self._failure = failure
                if not chunks:
                    raise
                break
        return chunks

    def _read_rest(self) -> list[Chunk]:
        """Read the event that the end of the bytes left open; one that was cut says nothing."""
        try:
            rest = self._framing.close()
            chunks = self._read([*self._pairs.feed(rest), *self._pairs.close()])
        except MalformedAnswerError as error:
            if self.stage is not Stage.OPEN:
                return []
            raise CutOffError(str(error)) from None
        if isinstance(self._failure, MalformedAnswerError):
            self._failure = CutOffError(str(self._failure))
        return chunks
