"""A call to a model and its answer, whatever the wire."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

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
    """What a message carries beside its text."""

    kind: AttachmentKind
    what: str  # its media type, or its address where only that was sent
    size: int | None = None  # bytes, where it was sent whole


class Request(NamedTuple):
    """What the behaviours need to know of a call."""

    model: str
    stream: bool = False
    stream_usage: bool = False
    text: str = ""  # of the last user message
    tokens: int = 0  # of the whole prompt
    attachments: tuple[Attachment, ...] = ()  # of the last user message
    tools: tuple[Tool, ...] = ()
    forced_tool: str | None = None  # a name, or "" for whichever
    tool_results: tuple[str, ...] = ()  # where the last messages are tools' results
    format: Json | Literal["text", "json"] = "text"  # a schema, or
    max_tokens: int | None = None
    thoughts: bool = False  # the reasoning was asked for
    images: bool = False  # images were asked for
    cached: int = 0  # of the tokens, those read from the prompt cache
    caching: int = 0  # of the tokens, those written to it
    detail: Any = None  # what only the wire itself understands


class Reply(NamedTuple):
    """What to answer, whatever the wire."""

    text: str | None
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    truncated: bool = False
    tokens: int = 0  # with the reasoning
    reasoning_tokens: int = 0
    usage: bool = True
    images: tuple[bytes, ...] = ()  # PNG


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


class RefusedError(Exception):
    """The request cannot be answered as it is."""

    def __init__(self, refusal: ErrorReply) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def invalid(message: str) -> RefusedError:
    return RefusedError(ErrorReply(400, "bad_request", message))
