"""What a provider API has to offer to the rest of the simulator."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Final, Protocol

from workers.simulator.requests import ErrorReply, Reply, Request

Header = tuple[bytes, bytes]

JSON: Final = b"application/json"
EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"


class Head(Protocol):
    """A call without its body."""

    @property
    def path(self) -> str: ...

    def header(self, name: bytes) -> str:
        """Return a header, "" where there is none."""


class Wire(ABC):
    """One provider API. Stateless: a wire reads and writes, the behaviours are not its business."""

    refusal_content: ClassVar[bytes] = JSON

    @abstractmethod
    def read(self, head: Head, body: bytes) -> Request:
        """Understand a call. Raises RefusedError."""

    @abstractmethod
    def refuse(self, refusal: ErrorReply) -> bytes:
        """Return the body of an error answer."""

    @abstractmethod
    def answer(self, request: Request, reply: Reply) -> bytes:
        """Return the body of a whole answer."""

    @abstractmethod
    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        """Return a streamed answer, event by event."""

    @abstractmethod
    def error_event(self, refusal: ErrorReply) -> bytes:
        """Return an error as an event in the middle of a stream."""

    def content(self, request: Request) -> bytes:
        """Return the media type of an answer."""
        return EVENT_STREAM if request.stream else JSON

    def status(self, refusal: ErrorReply) -> int:
        return refusal.status

    def headers(self, refusal: ErrorReply) -> tuple[Header, ...]:
        """Return what an error answer says in its headers."""
        if refusal.retry_after is None:
            return ()
        return ((b"retry-after", b"%d" % refusal.retry_after),)
