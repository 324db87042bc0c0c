"""The interface of operations other than chat, and the addresses of OpenAI's wire."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

import orjson

from broker.completion import (
    BackgroundAnswer,
    Completion,
    CompletionRequest,
    Document,
    Failure,
    Json,
    Usage,
)
from broker.requests.operations import Operation
from workers.adapters.base import (
    HttpRequest,
    MalformedAnswerError,
    ProviderFailureError,
    StreamReader,
    Upstream,
)
from workers.adapters.errors import read_error, read_reported_error
from workers.adapters.json_shapes import parse_object
from workers.adapters.openai.adapter import build_headers, build_url, with_azure_address
from workers.adapters.openai.request import fit_fields
from workers.adapters.openai.usage import read_usage


class OperationAdapter(ABC):
    """One operation on one wire."""

    operation: ClassVar[Operation]
    streams: ClassVar[bool] = False  # the wire has streams of this operation
    wires: ClassVar[tuple[str, ...]]

    @abstractmethod
    def build_request(self, request: CompletionRequest, upstream: Upstream) -> HttpRequest:
        """Translate OpenAI's body into the provider's HTTP request."""

    @abstractmethod
    def read_response(self, body: bytes, request: CompletionRequest) -> Completion | Document:
        """Translate a whole 2xx body. Raises MalformedAnswerError or ProviderFailureError."""

    def create_stream_reader(self, request: CompletionRequest) -> StreamReader:  # noqa: ARG002
        raise MalformedAnswerError(f"{self.operation.value} does not stream")

    usage_name: ClassVar[str] = "usage"

    def read_usage(self, raw: Any) -> Usage | None:
        return read_usage(raw)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return read_error(status, headers, body)


class JobAdapter(OperationAdapter):
    """An operation that the provider makes as a job: it is submitted once, then polled.

    The job goes on without a connection, and another process can continue to poll it.
    """

    @abstractmethod
    def read_submission(self, body: bytes, upstream: Upstream) -> BackgroundAnswer:
        """Return what identifies the submitted job. Raises MalformedAnswerError."""

    @abstractmethod
    def build_poll(self, answer: BackgroundAnswer, upstream: Upstream) -> HttpRequest:
        """Return the request for the state of a job."""

    @abstractmethod
    def read_poll(
        self, body: bytes, answer: BackgroundAnswer, request: CompletionRequest, upstream: Upstream
    ) -> Document | HttpRequest | None:
        """Return the result of a job, the request for its result, or None while it is running.

        Raises MalformedAnswerError, and ProviderFailureError for a job that has failed.
        """

    def build_cancellation(
        self,
        answer: BackgroundAnswer,  # noqa: ARG002
        upstream: Upstream,  # noqa: ARG002
    ) -> HttpRequest | None:
        """Return the request that stops a job, or None where the provider has none."""
        return None


def require_same_site(url: object, upstream: Upstream) -> str:
    """Return an address that a provider names for its job, which gets the provider's key.

    Raises MalformedAnswerError for an address at another site.
    """
    base = urlsplit(upstream.base_url)
    named = urlsplit(url if isinstance(url, str) else "")
    is_same = (named.scheme, named.netloc) == (base.scheme, base.netloc)
    sites = {".".join((each.hostname or "").rsplit(".", 2)[-2:]) for each in (base, named)}
    if not isinstance(url, str) or not (is_same or (named.scheme == "https" and len(sites) == 1)):
        raise MalformedAnswerError("the address of the job is not at the provider")
    return url


def require_list(body: Json, name: str) -> list[Json]:
    """Return a list of objects. Raises MalformedAnswerError where there is none."""
    found = body.get(name)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise MalformedAnswerError(f"no list `{name}`")
    return found


AZURE = "azure"


def build_json_request(
    path: str, request: CompletionRequest, upstream: Upstream, body: Json
) -> HttpRequest:
    """Return a POST of `body` to an OpenAI path."""
    upstream = with_vendor_address(upstream)
    sent = {**body, "model": request.model}
    fit_fields(sent, upstream.quirks)
    return HttpRequest(
        url=build_url(path, request.model, upstream),
        headers=build_headers(upstream),
        body=orjson.dumps(sent),
    )


def with_vendor_address(upstream: Upstream) -> Upstream:
    """Return the upstream with the vendor's address of OpenAI's endpoints."""
    return with_azure_address(upstream) if upstream.wire == AZURE else upstream


def parse_answer(body: bytes) -> Json:
    """Parse an answer.

    Raises MalformedAnswerError for no JSON object, and ProviderFailureError for an error inside a
    200 (OpenRouter).
    """
    parsed = parse_object(body)
    error: Any = parsed.get("error")
    if error and "data" not in parsed and "choices" not in parsed:
        failure: Failure = read_reported_error(error)
        raise ProviderFailureError(failure)
    return parsed
