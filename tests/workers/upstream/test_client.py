"""One call to a provider: each answer and each error becomes a value."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest

from broker.completion import (
    AttemptAnswer,
    AttemptOutcome,
    Chunk,
    Completion,
    CompletionRequest,
    ErrorType,
    Failure,
)
from tests.workers.adapters.streams import STREAMS
from workers.adapters.base import HttpRequest, Upstream
from workers.adapters.registry import ADAPTERS
from workers.upstream.answer_body import Deadlines, Stopwatch
from workers.upstream.assembly import Assembly
from workers.upstream.client import call
from workers.upstream.provider_call import ProviderCall

BODY = {"messages": [{"role": "user", "content": "Hi"}]}
ANSWER = {
    "id": "chatcmpl-1",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5},
}
LIMIT = 10_000  # bytes of an answer


@dataclass
class Client:
    """A replacement of `ProviderClient` that gives one answer or raises one error."""

    status: int = 200
    content: bytes = json.dumps(ANSWER).encode()
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    error: Exception | None = None
    is_sent: bool = True  # before the error
    requests: list[HttpRequest] = field(default_factory=list)
    watch: Stopwatch = field(default_factory=lambda: Stopwatch(Deadlines(30, 30, 60)))

    @asynccontextmanager
    async def send(self, built: HttpRequest) -> AsyncIterator["Response"]:
        self.requests.append(built)
        self.watch.sent = self.is_sent
        if self.error is not None:
            raise self.error
        yield Response(self.status, self.headers, self.content)


@dataclass
class Response:
    """A replacement of `ProviderResponse` whose body comes in one piece."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        return self.status == 200

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self.content


@dataclass
class Result:
    """The result of a call, with the chunks and the headers that were seen meanwhile."""

    answer: AttemptAnswer
    chunks: list[Chunk] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)


async def make_call(client: Client, *, stream: bool = False) -> Result:
    chunks: list[Chunk] = []
    headers: list[Mapping[str, str]] = []
    answer = await call(
        ProviderCall(
            client.send,  # type: ignore[arg-type]  # only `send` is used
            ADAPTERS["openai"],
            CompletionRequest(BODY, "m", stream=stream),
            Upstream(slug="acme", base_url="https://acme.test/v1", api_key="key"),
            client.watch,
            max_bytes=LIMIT,
            on_headers=headers.append,
            assembly=Assembly(chunks.append),
        )
    )
    return Result(answer, chunks, headers)


async def test_a_plain_answer_is_read_whole() -> None:
    client = Client()
    result = await make_call(client)
    assert isinstance(result.answer, Completion)
    assert result.answer.choices[0]["message"]["content"] == "Hello"
    assert result.answer.usage is not None
    assert (result.answer.usage.input, result.answer.usage.output) == (10, 5)
    assert result.chunks == []
    [request] = client.requests
    assert request.url == "https://acme.test/v1/chat/completions"
    assert json.loads(request.body)["messages"] == BODY["messages"]


async def test_a_stream_is_passed_on_in_chunks_and_read_whole() -> None:
    stream = STREAMS["openai"]
    client = Client(content=stream.whole, headers={"content-type": stream.content_type})
    result = await make_call(client, stream=True)
    assert isinstance(result.answer, Completion)
    assert result.answer.choices[0]["message"]["content"] == "Hello world"
    text = "".join(
        choice["delta"].get("content") or "" for each in result.chunks for choice in each.choices
    )
    assert text == "Hello world"


async def test_the_headers_of_a_good_answer_are_reported() -> None:
    result = await make_call(Client(headers={"x-ratelimit-remaining-requests": "0"}))
    assert [each["x-ratelimit-remaining-requests"] for each in result.headers] == ["0"]


@pytest.mark.parametrize(
    ("status", "error_type"),
    [
        (401, ErrorType.AUTHENTICATION),
        (429, ErrorType.RATE_LIMIT_EXCEEDED),
        (500, ErrorType.PROVIDER_UNAVAILABLE),
    ],
)
async def test_an_error_status_is_a_rejection(status: int, error_type: ErrorType) -> None:
    client = Client(status=status, content=b'{"error": {"message": "no"}}')
    result = await make_call(client)
    assert isinstance(result.answer, Failure)
    assert (result.answer.http_status, result.answer.error_type) == (status, error_type)
    assert result.headers == []  # a refusal's headers are read with its body


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not JSON", "an answer we cannot use"),
        (json.dumps({"choices": "none"}).encode(), "acme sent an answer"),
        (b" " * (LIMIT + 1), "an answer of"),
    ],
    ids=["no JSON", "other shape", "too large"],
)
async def test_an_answer_that_cannot_be_used_is_answered_and_may_be_billed(
    content: bytes, words: str
) -> None:
    answer = (await make_call(Client(content=content))).answer
    assert isinstance(answer, Failure)
    assert (answer.outcome, answer.answered) == (AttemptOutcome.UNKNOWN, True)
    assert words in answer.message


@pytest.mark.parametrize(
    ("is_sent", "outcome"),
    [(False, AttemptOutcome.NOT_SENT), (True, AttemptOutcome.UNKNOWN)],
    ids=["not sent", "sent"],
)
@pytest.mark.parametrize(
    ("error", "error_type"),
    [
        (TimeoutError(), ErrorType.TIMEOUT),
        (aiohttp.ClientConnectionError("refused"), ErrorType.PROVIDER_UNAVAILABLE),
    ],
    ids=["timeout", "connection"],
)
async def test_an_error_before_the_answer_depends_on_whether_the_request_was_sent(
    error: Exception, error_type: ErrorType, outcome: AttemptOutcome, *, is_sent: bool
) -> None:
    answer = (await make_call(Client(error=error, is_sent=is_sent))).answer
    assert isinstance(answer, Failure)
    assert (answer.outcome, answer.error_type) == (outcome, error_type)


async def test_a_request_that_cannot_be_translated_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def crash(*_: object) -> None:
        raise KeyError("messages")

    monkeypatch.setattr(type(ADAPTERS["openai"]), "build_request", crash)
    client = Client()
    answer = (await make_call(client)).answer
    assert isinstance(answer, Failure)
    assert (answer.outcome, answer.error_type) == (
        AttemptOutcome.NOT_SENT,
        ErrorType.INVALID_REQUEST,
    )
    assert client.requests == []


async def test_an_error_of_the_translator_after_sending_is_no_crash() -> None:
    answer = (await make_call(Client(error=LookupError("shape")))).answer
    assert isinstance(answer, Failure)
    assert (answer.outcome, answer.answered) == (AttemptOutcome.UNKNOWN, True)


async def test_a_head_that_cannot_be_written_was_not_sent_and_is_not_quoted() -> None:
    answer = (await make_call(Client(error=ValueError("Bearer key"), is_sent=False))).answer
    assert isinstance(answer, Failure)
    assert answer.outcome is AttemptOutcome.NOT_SENT
    assert "Bearer" not in answer.message
