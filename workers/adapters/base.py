"""The interface of a provider's wire: requests, answers, streams and errors."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import Any, ClassVar, NoReturn, Protocol

from broker.completion import (
    AttemptOutcome,
    Chunk,
    Completion,
    CompletionRequest,
    Document,
    ErrorType,
    Failure,
    Json,
    Usage,
)
from broker.values import immutable


@immutable
class Upstream:
    """The part of a provider that an adapter needs: its address, credentials and options."""

    slug: str
    base_url: str  # without a trailing slash
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # added to every request
    options: Mapping[str, Any] = field(default_factory=dict)  # region, project, api_version, …
    quirks: frozenset[str] = frozenset()  # declared deviations, see the quirks of the wire
    wire: str = "openai"


@immutable
class HttpRequest:
    """A request ready to be sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"


class MalformedAnswerError(Exception):
    """The provider answered 2xx with a body that is not of its wire."""


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
    OVER = "over"  # the protocol's own end has come; what follows is ignored


class StreamReader(Protocol):
    """Reader of one streamed answer. It takes bytes that are cut anywhere."""

    @property
    def stage(self) -> Stage:
        """Return the stage of the answer. After OPEN, the answer is complete."""

    @property
    def usage(self) -> Usage | None:
        """Return the usage that the provider has stated so far."""

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks completed by `data`.

        Raises MalformedAnswerError and ProviderFailureError.
        """

    def close(self) -> list[Chunk]:
        """Return the last chunks, when the bytes have ended.

        Raises CutOffError where the stream ended before a finish reason was seen.
        """


class BackgroundReader(ABC):
    """A stream reader whose answer the provider may make in the background.

    The provider then goes on without a connection. It gives the rest of the answer to another
    request, and stops only on a request to stop.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def background_id(self) -> str | None:
        """Return the provider's id of an answer in the background, or None for another answer."""

    @property
    @abstractmethod
    def last_event(self) -> int | None:
        """Return the number of the last event that was read."""

    @abstractmethod
    def adopt(self, background_id: str) -> None:
        """Begin to read an answer in the background that another process has requested."""

    @abstractmethod
    def restart(self) -> None:
        """Begin to read another body, which continues the answer after the last event."""

    @abstractmethod
    def read_whole(self, body: bytes) -> list[Chunk] | None:
        """Return the chunks that the whole answer adds, or None while it is not whole.

        Raises MalformedAnswerError and ProviderFailureError.
        """


class DocumentReader(ABC):
    """A stream reader whose answer is a document: its chunks have events, and no choices."""

    __slots__ = ()

    @abstractmethod
    def document(self) -> Document:
        """Return the whole answer, after `close`."""


class Adapter(ABC):
    """One provider wire."""

    wire: ClassVar[str]
    accepts: ClassVar[frozenset[str]] = frozenset({"image", "file", "audio", "video"})
    """The modalities besides text that a request of this wire can carry."""
    fetches: ClassVar[frozenset[str]] = frozenset()
    """The modalities that the provider accepts as https URLs and fetches itself."""
    opens: ClassVar[tuple[str, ...]] = ()
    """Prefixes of URLs that only the provider can open, for every modality."""
    reads_files: ClassVar[bool] = False
    """True where all models of the wire are expected to accept a PDF as it is."""
    quirks: ClassVar[frozenset[str]] = frozenset()
    """The deviations from the wire that a provider's row may declare."""

    @abstractmethod
    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        """Translate a chat completion into the provider's HTTP request.

        Raises ProviderFailureError where the wire cannot express it.
        """

    @abstractmethod
    def read_response(self, body: bytes, request: CompletionRequest) -> Completion:
        """Translate a whole 2xx body. Raises MalformedAnswerError or ProviderFailureError."""

    @abstractmethod
    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:
        """Return a new reader for a streamed 2xx body."""

    usage_name: ClassVar[str] = "usage"
    """The field of an answer that holds its usage."""

    @abstractmethod
    def read_usage(self, raw: Any) -> Usage | None:
        """Translate the value of that field. Return None where it counts nothing."""

    def build_continuation(
        self, reader: BackgroundReader, upstream: Upstream, *, stream: bool = True
    ) -> HttpRequest:
        """Return the request for the rest of an answer in the background, or for the whole."""
        raise NotImplementedError

    def build_cancellation(self, reader: BackgroundReader, upstream: Upstream) -> HttpRequest:
        """Return the request that stops an answer in the background."""
        raise NotImplementedError

    @abstractmethod
    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Classify a non-2xx answer. Never raises."""


__all__: Sequence[str] = (
    "Adapter",
    "BackgroundReader",
    "CutOffError",
    "HttpRequest",
    "MalformedAnswerError",
    "ProviderFailureError",
    "Stage",
    "StreamReader",
    "Upstream",
)


_RARE_FORMATS = ("grammar", "python")
"""OpenRouter's response formats that few vendors accept."""


def refuse(field: str, why: str) -> NoReturn:
    """Raise ProviderFailureError for a field that cannot be sent."""
    failure = Failure(AttemptOutcome.NOT_SENT, ErrorType.INVALID_REQUEST, f"{field}: {why}")
    raise ProviderFailureError(failure)


def refuse_rare_formats(body: Json) -> None:
    """Raise ProviderFailureError for a response format that the provider does not accept."""
    given = body.get("response_format")
    if isinstance(given, dict) and given.get("type") in _RARE_FORMATS:
        refuse(
            "response_format.type",
            f"the provider does not accept {given['type']!r}. Use `json_schema`, or choose another "
            "model.",
        )


def read_stop_sequences(body: Json, most: int | None = None) -> list[str]:
    """Return the stop sequences of a body. Raises ProviderFailureError for more than `most`."""
    given: Any = body.get("stop")
    words = [word for word in (given if isinstance(given, list) else [given]) if word]
    if most is not None and len(words) > most:
        refuse(
            "stop",
            f"the provider takes {most} stop sequences at most, and there are {len(words)}. Send "
            "fewer, or choose another model.",
        )
    return words
