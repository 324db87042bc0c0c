"""The interface of batch APIs: the requests to a provider, its progress and its results.

A batch API is pure, like an adapter. The adapters of the wire (`workers.adapters`,
`workers.operations`) translate the bodies of lines and their answers; a batch API wraps them.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from broker.completion import AttemptOutcome, ErrorType, Failure, Json
from workers.adapters.base import HttpRequest, MalformedAnswerError, Upstream
from workers.adapters.errors import read_error
from workers.adapters.json_shapes import parse_object


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """A batch that is to be created."""

    marker: str  # our id; sent with the batch if the API has a field for it
    model: str
    path: str  # of the calls that its lines stand for, e.g. /v1/chat/completions
    lines: Sequence[bytes]  # built by `BatchApi.line`


@dataclass(frozen=True, slots=True)
class ListedBatch:
    """A batch in the provider's list."""

    id: str
    marker: str | None
    created_at: float  # Unix seconds
    lines: int


@dataclass(frozen=True, slots=True)
class ProviderBatchPage:
    """A page of the provider's list, newest first, and the cursor of the next page."""

    batches: Sequence[ListedBatch]
    after: str | None = None


@dataclass(frozen=True, slots=True)
class LineResult:
    """The result of a line: the provider's ordinary answer, or the reason for none."""

    custom_id: str
    answer: bytes | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """The progress of a batch. `failure_reason` is set if it ended without all answers."""

    ended: bool
    completed: int = 0
    failed: int = 0
    files: Sequence[str] = ()  # the ids of the files with the results of an ended batch
    inline: Sequence[LineResult] = ()
    failure_reason: str | None = None
    lacks_quota: bool = False  # the provider had no quota and ran nothing: send it again later


class BatchApi(ABC):
    """One provider's batch API."""

    name: ClassVar[str]
    max_bytes: ClassVar[int]  # of all lines together
    marks: ClassVar[bool] = True  # it stores our marker with the batch

    @abstractmethod
    def line(self, custom_id: str, path: str, body: bytes) -> bytes:
        """Wrap the ordinary request body of one line, a POST to this path."""

    def upload(self, order: BatchOrder, upstream: Upstream) -> HttpRequest | None:  # noqa: ARG002
        """Return the upload before the creation, or None if the API needs none."""
        return None

    def uploaded(self, body: bytes) -> str:
        """Return the id of the uploaded file."""
        return text(parse_object(body), "id")

    @abstractmethod
    def create(self, order: BatchOrder, file_id: str | None, upstream: Upstream) -> HttpRequest:
        """Return the call that creates the batch. From then on the provider may bill."""

    def created(self, body: bytes) -> str:
        """Return the provider's id of the batch."""
        return text(parse_object(body), "id")

    @abstractmethod
    def listing(self, after: str | None, upstream: Upstream) -> HttpRequest:
        """Return the call that lists the provider's batches, newest first."""

    @abstractmethod
    def page(self, body: bytes) -> ProviderBatchPage:
        """Read a page of the list."""

    @abstractmethod
    def poll(self, batch_id: str, upstream: Upstream) -> HttpRequest:
        """Return the call that reads the progress of a batch."""

    @abstractmethod
    def progress(self, body: bytes) -> BatchProgress:
        """Read the progress of a batch."""

    @abstractmethod
    def results(self, file_id: str, upstream: Upstream) -> HttpRequest:
        """Return the call that downloads one of `BatchProgress.files`: a result on each line."""

    @abstractmethod
    def result(self, line: bytes) -> LineResult:
        """Read one result. Raises MalformedAnswerError."""

    @abstractmethod
    def cancel(self, batch_id: str, upstream: Upstream) -> HttpRequest:
        """Return the call that cancels a batch. Finished lines keep their results."""


def text(body: Json, name: str) -> str:
    """Return a required text. Raises MalformedAnswerError."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedAnswerError(f"no `{name}`")
    return value


def refused_result(custom_id: str, error: Any, status: int = 0) -> LineResult:
    """Return the result of a line that the provider answered with an error object."""
    return LineResult(custom_id, failure=read_error(status or 400, {}, orjson.dumps(error)))


def unprocessed_result(custom_id: str, message: str) -> LineResult:
    """Return the result of a line that the provider did not run."""
    failure = Failure(AttemptOutcome.NOT_SENT, ErrorType.TIMEOUT, message)
    return LineResult(custom_id, failure=failure)
