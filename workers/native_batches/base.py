"""The seam between Waybill and a provider's batch API: requests out, progress and results in.

Pure like an adapter: the bodies of lines and their answers are the business of the wire's own
translators (`workers.adapters`, `workers.operations`); here is only what wraps them.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from broker.completion import AttemptOutcome, ErrorType, Failure, Json
from broker.requests.operations import Operation
from workers.adapters.base import HttpRequest, MalformedAnswerError, Upstream
from workers.adapters.errors import read_error
from workers.adapters.json_shapes import parse_object


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """A batch as it is to be made."""

    marker: str  # ours; sent along where the API has a place for it
    model: str
    operation: Operation
    lines: Sequence[bytes]  # what `BatchApi.line` made


@dataclass(frozen=True, slots=True)
class ListedBatch:
    """A batch in the provider's list."""

    id: str
    marker: str | None
    created_at: float  # Unix seconds
    lines: int


@dataclass(frozen=True, slots=True)
class BatchPage:
    """A part of the provider's list, newest first, and where the next one begins."""

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
    """The progress of a batch. `why_not` says why an ended one left lines unanswered."""

    ended: bool
    completed: int = 0
    failed: int = 0
    files: Sequence[str] = ()  # where the results of an ended one are
    inline: Sequence[LineResult] = ()
    why_not: str | None = None
    held_back: bool = False  # nothing was begun for want of quota: it may be sent again later


class BatchApi(ABC):
    """One provider's batch API."""

    name: ClassVar[str]
    max_bytes: ClassVar[int]  # of all lines together
    marks: ClassVar[bool] = True  # it keeps our marker with the batch

    @abstractmethod
    def line(self, custom_id: str, operation: Operation, body: bytes) -> bytes:
        """Wrap the ordinary request body of one line."""

    def upload(self, order: BatchOrder, upstream: Upstream) -> HttpRequest | None:  # noqa: ARG002
        """Return the upload that comes before the creation, where the API wants one."""
        return None

    def uploaded(self, body: bytes) -> str:
        """Return the id of what was uploaded."""
        return text(parse_object(body), "id")

    @abstractmethod
    def create(self, order: BatchOrder, file_id: str | None, upstream: Upstream) -> HttpRequest:
        """Return the call after which the provider works, and bills."""

    def created(self, body: bytes) -> str:
        """Return the provider's name for the batch."""
        return text(parse_object(body), "id")

    @abstractmethod
    def listing(self, after: str | None, upstream: Upstream) -> HttpRequest:
        """Ask for the provider's list, newest first."""

    @abstractmethod
    def page(self, body: bytes) -> BatchPage:
        """Read a part of the list."""

    @abstractmethod
    def poll(self, batch_id: str, upstream: Upstream) -> HttpRequest:
        """Ask how far a batch is."""

    @abstractmethod
    def progress(self, body: bytes) -> BatchProgress:
        """Read how far a batch is."""

    @abstractmethod
    def results(self, place: str, upstream: Upstream) -> HttpRequest:
        """Ask for one of `Progress.files`: a result on each line."""

    @abstractmethod
    def result(self, line: bytes) -> LineResult:
        """Read one result. Raises MalformedAnswerError."""

    @abstractmethod
    def cancel(self, batch_id: str, upstream: Upstream) -> HttpRequest:
        """Call a batch off; lines that are done stay done."""


def text(body: Json, name: str) -> str:
    """Return a text that must be there. Raises MalformedAnswerError."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedAnswerError(f"no `{name}`")
    return value


def refused_result(custom_id: str, error: Any, status: int = 0) -> LineResult:
    """Return the result of a line that the provider answered with an error object."""
    return LineResult(custom_id, failure=read_error(status or 400, {}, orjson.dumps(error)))


def unprocessed_result(custom_id: str, message: str) -> LineResult:
    """Return the result of a line that the provider never came to."""
    failure = Failure(AttemptOutcome.NOT_SENT, ErrorType.TIMEOUT, message)
    return LineResult(custom_id, failure=failure)
