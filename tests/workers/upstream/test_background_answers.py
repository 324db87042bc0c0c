"""Answers that the provider makes in the background survive their connection, and are paid once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from broker.completion import (
    AttemptAnswer,
    AttemptOutcome,
    BackgroundAnswer,
    Chunk,
    Completion,
    CompletionRequest,
    ErrorType,
    Failure,
)
from broker.settings import Settings
from workers.adapters.base import Upstream
from workers.adapters.responses import ResponsesAdapter
from workers.simulator import responses_store
from workers.simulator.background import Simulator, running
from workers.simulator.replies import STORY
from workers.upstream.answer_body import Deadlines, Stopwatch
from workers.upstream.assembly import Assembly
from workers.upstream.client import ProviderClient, call
from workers.upstream.handover import NOTHING, Handover
from workers.upstream.provider_call import ProviderCall

SAID = {"messages": [{"role": "user", "content": "Tell me."}]}


@pytest.fixture(scope="module")
def simulators() -> Iterator[Simulator]:
    with running() as simulator:
        yield simulator


@pytest.fixture
def simulator(simulators: Simulator) -> Simulator:
    simulators.counters.reset()
    return simulators


@pytest_asyncio.fixture
async def client() -> AsyncIterator[ProviderClient]:
    client = ProviderClient(Settings())
    yield client
    await client.aclose()


@dataclass
class Asking:
    """Calls of the simulator, and the chunks that were shown."""

    client: ProviderClient
    simulator: Simulator
    shown: list[Chunk] = field(default_factory=list)
    assembly: Assembly | None = None  # of the last call

    async def ask(
        self,
        model: str,
        *,
        stream: bool = True,
        idle: float = 30,
        total: float = 60,
        handover: Handover = NOTHING,
        **body: Any,
    ) -> AttemptAnswer:
        self.assembly = Assembly(self.shown.append)
        return await call(
            ProviderCall(
                self.client.send,
                ResponsesAdapter(),
                CompletionRequest({**SAID, **body}, model, stream=stream),
                Upstream(
                    "openai",
                    self.simulator.base_url,
                    "key",
                    options={"background": True},
                    quirks=frozenset({"background"}),
                ),
                Stopwatch(Deadlines(first_byte=30, idle=idle, total=total)),
                max_bytes=1_000_000,
                on_headers=lambda _: None,
                assembly=self.assembly,
                handover=handover,
            )
        )

    @property
    def text(self) -> str:
        choices = [choice for chunk in self.shown for choice in chunk.choices]
        return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.fixture
def asking(client: ProviderClient, simulator: Simulator) -> Asking:
    return Asking(client, simulator)


def said(answer: AttemptAnswer) -> str:
    assert isinstance(answer, Completion), answer
    assert answer.usage is not None
    content = answer.choices[0]["message"]["content"]
    assert isinstance(content, str)
    return content


@pytest.mark.parametrize("stream", [False, True])
async def test_a_lost_connection_is_continued_without_gap_or_repetition(
    asking: Asking, stream: bool
) -> None:
    assert said(await asking.ask("sim-story-cut", stream=stream)) == STORY
    assert asking.text == STORY
    counters = asking.simulator.counters
    assert (counters.total, counters.retrieved, counters.cancelled) == (1, 1, 0)


async def test_a_connection_that_fell_silent_is_replaced(asking: Asking) -> None:
    assert said(await asking.ask("sim-story-freeze", idle=0.2)) == STORY
    assert asking.simulator.counters.total == 1


async def test_an_answer_may_take_longer_than_a_connection_may_be_silent(asking: Asking) -> None:
    assert said(await asking.ask("sim-story-lat700", idle=0.2)) == STORY
    counters = asking.simulator.counters
    assert counters.total == 1
    assert counters.retrieved >= 1


async def stop_once_shown(asking: Asking, **more: Any) -> None:
    task = asyncio.create_task(asking.ask("sim-story-chunk50", **more))
    async with asyncio.timeout(10):
        while not asking.shown:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_a_call_that_is_stopped_is_cancelled_at_the_provider(asking: Asking) -> None:
    await stop_once_shown(asking)
    assert asking.simulator.counters.cancelled == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("seconds", [0, 300])
async def test_the_next_attempt_fetches_an_answer_that_was_left(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, stream: bool, seconds: int
) -> None:
    monkeypatch.setattr(responses_store, "STREAM_SECONDS", seconds)
    stored: list[BackgroundAnswer] = []

    async def store(answer: BackgroundAnswer) -> None:
        assert not asking.shown
        stored.append(answer)

    await stop_once_shown(asking, handover=Handover(store=store, goes_on=lambda: True))
    (left,) = stored
    asking.shown.clear()
    again = Handover(received=left, store=store)
    assert said(await asking.ask("sim-story-chunk50", stream=stream, handover=again)) == STORY
    assert asking.text == STORY
    assert stored == [left]
    counters = asking.simulator.counters
    assert (counters.total, counters.cancelled) == (1, 0)


async def test_an_answer_that_was_left_and_is_lost_is_not_requested_again(asking: Asking) -> None:
    left = Handover(received=BackgroundAnswer("resp_lost"))
    answer = await asking.ask("sim-story", handover=left)
    assert isinstance(answer, Failure)
    assert answer.outcome is AttemptOutcome.UNKNOWN
    assert asking.simulator.counters.total == 0


async def test_a_call_that_takes_too_long_is_cancelled_at_the_provider(asking: Asking) -> None:
    answer = await asking.ask("sim-story-lat60000", total=0.5)
    assert isinstance(answer, Failure)
    assert (answer.outcome, answer.error_type) == (AttemptOutcome.UNKNOWN, ErrorType.TIMEOUT)
    assert asking.assembly is not None
    assert str(asking.assembly.upstream_id).startswith("resp_")
    assert asking.simulator.counters.cancelled == 1


async def test_an_answer_that_may_not_be_stored_is_not_continued(asking: Asking) -> None:
    answer = await asking.ask("sim-story-cut", store=False)
    assert isinstance(answer, Failure)
    assert answer.outcome is AttemptOutcome.UNKNOWN
    assert asking.simulator.counters.retrieved == 0


async def test_an_answer_that_the_provider_has_lost_is_unknown(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = ResponsesAdapter.build_continuation

    def build_elsewhere(adapter: Any, reader: Any, upstream: Upstream, **more: Any) -> Any:
        request = built(adapter, reader, upstream, **more)
        return type(request)(
            request.url.replace("/resp_", "/resp_lost_"), request.headers, b"", "GET"
        )

    monkeypatch.setattr(ResponsesAdapter, "build_continuation", build_elsewhere)
    answer = await asking.ask("sim-story-cut")
    assert isinstance(answer, Failure)
    assert answer.outcome is AttemptOutcome.UNKNOWN
    assert answer.error_type is ErrorType.PROVIDER_UNAVAILABLE
    assert asking.simulator.counters.total == 1


@pytest.mark.parametrize("model", ["sim-story-cut", "sim-story-cut-lat500"])
async def test_an_answer_whose_stream_is_not_continued_is_fetched_when_it_is_whole(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setattr(responses_store, "STREAM_SECONDS", 0)
    assert said(await asking.ask(model, idle=0.3)) == STORY
    assert asking.text == STORY
    counters = asking.simulator.counters
    assert counters.total == 1
    assert counters.retrieved >= 2
