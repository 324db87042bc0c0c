"""A call to a model, its answer, and the interface of a provider API."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, NamedTuple, Protocol

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    parameters: Json  # JSON schema

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError("a tool without a name")


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: str  # JSON


AttachmentKind = Literal["image", "document", "sound", "video"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attachment of a message."""

    kind: AttachmentKind
    what: str  # its media type, or its URL where it was sent as a URL
    size: int | None = None  # bytes, where its data was sent


class Request(NamedTuple):
    """The fields of a call that the behaviours need."""

    model: str
    stream: bool = False
    stream_usage: bool = False
    text: str = ""  # of the last user message
    tokens: int = 0  # of the whole prompt
    attachments: tuple[Attachment, ...] = ()  # of the last user message
    tools: tuple[Tool, ...] = ()
    forced_tool: str | None = None  # a name, or "" for any
    tool_results: tuple[str, ...] = ()  # where the last messages are tools' results
    format: Json | Literal["text", "json"] = "text"  # a schema, or
    max_tokens: int | None = None
    thoughts: bool = False  # reasoning was requested
    images: bool = False  # images were requested
    sound: bool = False  # audio was requested
    background: bool = False  # the answer is made whether or not the caller waits
    cached: int = 0  # of the tokens, those read from the prompt cache
    caching: int = 0  # of the tokens, those written to it
    detail: Any = None  # data of the wire itself


class Reply(NamedTuple):
    """The content of an answer, for every wire."""

    text: str | None
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    truncated: bool = False
    tokens: int = 0  # with the reasoning
    reasoning_tokens: int = 0
    usage: bool = True
    images: tuple[bytes, ...] = ()  # PNG
    sound: bytes = b""  # WAV, of the text


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
class ErrorReply:
    """An error answer."""

    status: int
    kind: RefusalKind
    message: str
    retry_after: int | None = None  # seconds
    param: str | None = None  # what of the request is wrong, where the wire says so
    code: str | None = None


class RefusedError(Exception):
    """The request is refused."""

    def __init__(self, refusal: ErrorReply) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def invalid(message: str) -> RefusedError:
    return RefusedError(ErrorReply(400, "bad_request", message))


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
    """One provider API. It is stateless and only reads requests and writes answers."""

    refusal_content: ClassVar[bytes] = JSON
    events_before_error: ClassVar[int] = 4  # the role and a few tokens

    @abstractmethod
    def read(self, head: Head, body: bytes) -> Request:
        """Read a call. Raises RefusedError."""

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
        """Return the headers of an error answer."""
        if refusal.retry_after is None:
            return ()
        return ((b"retry-after", b"%d" % refusal.retry_after),)
