"""A call to a model, whatever its wire, and what a wire has to offer."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    parameters: Json  # JSON schema


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: str  # JSON


@dataclass(frozen=True, slots=True)
class Request:
    """What the behaviours need to know of a call."""

    model: str
    stream: bool = False
    stream_usage: bool = False
    text: str = ""  # of the last user message
    tokens: int = 0  # of the whole prompt
    attachments: int = 0  # images, sounds and files in the last user message
    tools: tuple[Tool, ...] = ()
    forced_tool: str | None = None  # a name, or "" for whichever
    tool_results: tuple[str, ...] = ()  # where the last messages are tools' results
    format: Json | Literal["text", "json"] = "text"  # a schema, or
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer, whatever the wire."""

    text: str | None
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    truncated: bool = False
    tokens: int = 0  # with the reasoning
    reasoning_tokens: int = 0
    usage: bool = True


RefusalKind = Literal[
    "rate_limited",
    "server_error",
    "overloaded",
    "unauthorized",
    "bad_request",
    "context_length",
    "unknown_model",
]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer."""

    status: int
    kind: RefusalKind
    message: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class RefusedError(Exception):
    """The request cannot be answered as it is."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def invalid(message: str) -> RefusedError:
    return RefusedError(Refusal(400, "bad_request", message))


class Wire(ABC):
    """One provider API. Stateless: a wire reads and writes, the behaviours are not its business."""

    @abstractmethod
    def read(self, path: str, body: bytes) -> Request:
        """Understand a call. Raises RefusedError."""

    @abstractmethod
    def refuse(self, refusal: Refusal) -> bytes:
        """Return the body of an error answer."""

    @abstractmethod
    def answer(self, request: Request, reply: Reply) -> bytes:
        """Return the body of a whole answer."""

    @abstractmethod
    def events(self, request: Request, reply: Reply) -> Iterable[bytes]:
        """Return a streamed answer, event by event."""

    @abstractmethod
    def error_event(self, refusal: Refusal) -> bytes:
        """Return an error as an event in the middle of a stream."""
