"""The interface between Waybill and a provider's wire: requests, answers, chunks, errors."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, NoReturn, Protocol

from broker.completion import (
    AttemptOutcome,
    Chunk,
    Completion,
    CompletionRequest,
    ErrorType,
    Failure,
    Json,
    Usage,
)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a request goes and with whose credentials: the part of a provider an adapter needs."""

    slug: str
    base_url: str  # without a trailing slash
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # added to every request
    options: Mapping[str, Any] = field(default_factory=dict)  # region, project, api_version, …
    quirks: frozenset[str] = frozenset()  # declared deviations from the wire, see the wire's module
    wire: str = "openai"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request ready to be sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"


class MalformedAnswerError(Exception):
    """The provider answered 2xx with something that is not its wire."""


class CutOffError(MalformedAnswerError):
    """The provider's answer ended before it was complete."""


class ProviderFailureError(Exception):
    """The provider reported a failure inside a 2xx answer or stream."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Stage(Enum):
    """The stage of a streamed answer, by its own protocol."""

    OPEN = "open"  # a finish reason is still to come
    FINISHED = "finished"  # the finish reason has come; the usage may follow
    COUNTED = "counted"  # finish reason and usage have come; only the protocol's end may follow
    OVER = "over"  # the protocol's own end has come: what follows says nothing


class StreamReader(Protocol):
    """Reads one streamed answer, fed with bytes cut anywhere."""

    @property
    def stage(self) -> Stage:
        """Return the stage of the answer. Once it is not OPEN, the answer stands."""

    @property
    def usage(self) -> Usage | None:
        """The usage that the provider has stated so far."""

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks completed by `data`.

        Raises MalformedAnswerError and ProviderFailureError.
        """

    def close(self) -> list[Chunk]:
        """Return what was left when the bytes ended.

        Raises CutOffError where the stream ended before a finish reason was seen.
        """


class Adapter(ABC):
    """One provider wire."""

    wire: ClassVar[str]
    accepts: ClassVar[frozenset[str]] = frozenset({"image", "file", "audio", "video"})
    """The modalities, beside text, that the wire has a form for."""
    fetches: ClassVar[frozenset[str]] = frozenset()
    """The modalities the provider takes as https URLs, and fetches itself."""
    opens: ClassVar[tuple[str, ...]] = ()
    """Beginnings of URLs that only the provider can open, whatever they hold."""
    reads_files: ClassVar[bool] = False
    """Whether all of the wire's models can be expected to take a PDF as it is."""
    quirks: ClassVar[frozenset[str]] = frozenset()
    """The deviations from the wire that a provider's row may declare."""

    @abstractmethod
    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        """Translate a chat completion into the provider's HTTP request."""

    @abstractmethod
    def read_response(self, body: bytes, request: CompletionRequest) -> Completion:
        """Translate a whole 2xx body. Raises MalformedAnswerError or ProviderFailureError."""

    @abstractmethod
    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:
        """Return a fresh reader for a streamed 2xx body."""

    usage_name: ClassVar[str] = "usage"
    """The field of an answer that states its usage."""

    @abstractmethod
    def read_usage(self, raw: Any) -> Usage | None:
        """Translate the value of that field."""

    @abstractmethod
    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Classify a non-2xx answer. Never raises, whatever the body."""


__all__: Sequence[str] = (
    "Adapter",
    "CutOffError",
    "HttpRequest",
    "MalformedAnswerError",
    "ProviderFailureError",
    "Stage",
    "StreamReader",
    "Upstream",
)


_RARE_FORMATS = ("grammar", "python")
"""OpenRouter's response formats that few vendors know."""


def refuse(field: str, why: str) -> NoReturn:
    """Raise the failure of a request whose field cannot be sent."""
    failure = Failure(AttemptOutcome.NOT_SENT, ErrorType.INVALID_REQUEST, f"{field}: {why}")
    raise ProviderFailureError(failure)


def refuse_rare_formats(body: Json) -> None:
    """Raise for a response format that the provider has no form for."""
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") in _RARE_FORMATS:
        refuse(
            "response_format.type",
            f"the provider knows no {wanted['type']!r}. Ask for `json_schema`, or choose another "
            "model.",
        )


def read_stop_sequences(body: Json, most: int | None = None) -> list[str]:
    """Return the stop sequences of a body, at most `most`. Raises where there are more."""
    given: Any = body.get("stop")
    words = [word for word in (given if isinstance(given, list) else [given]) if word]
    if most is not None and len(words) > most:
        refuse(
            "stop",
            f"the provider takes {most} stop sequences at most, and there are {len(words)}. Send "
            "fewer, or choose another model.",
        )
    return words
