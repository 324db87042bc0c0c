"""The seam for operations other than chat: request out, answer in. Few of them stream."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from broker.completion import Completion, CompletionRequest, Document, Failure, Json, Usage
from broker.operations import Operation
from workers.adapters.base import HttpRequest, MalformedAnswerError, StreamReader, Upstream
from workers.adapters.errors import classify
from workers.adapters.openai.usage import read_usage


class OperationAdapter(ABC):
    """One operation on one wire."""

    operation: ClassVar[Operation]
    wires: ClassVar[tuple[str, ...]]

    @abstractmethod
    def request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        """Translate OpenAI's body into the provider's HTTP request."""

    @abstractmethod
    def answer(self, body: bytes, request: CompletionRequest) -> Completion | Document:
        """Translate a whole 2xx body. Raises MalformedAnswerError or ProviderFailureError."""

    def reader(self, request: CompletionRequest) -> StreamReader:  # noqa: ARG002
        raise MalformedAnswerError(f"{self.operation.value} does not stream")

    usage_name: ClassVar[str] = "usage"

    def usage(self, raw: Any) -> Usage | None:
        return read_usage(raw)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return classify(status, headers, body)


def entries(body: Json, name: str) -> list[Json]:
    """Return a list of objects. Raises MalformedAnswerError where there is none."""
    found = body.get(name)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise MalformedAnswerError(f"no list `{name}`")
    return found
