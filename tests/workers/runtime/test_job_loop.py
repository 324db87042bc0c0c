"""The loop of a worker process: bundles, capacity, leases, cancellation and shutdown."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import ClassVar, cast

import pytest
from structlog.testing import capture_logs

from broker.clock import now_ms
from broker.lifecycle import ClaimedJob, Renewal
from broker.providers.pacing import Busy, Cause, Permit
from broker.queues import DELIVERIES_QUEUE, Lane
from broker.settings import Settings
from broker.transport import Message
from broker.transport.messages import create_message
from workers.attempt.results import JobResult
from workers.attempt.running_attempts import RunningAttempts
from workers.runtime import job_loop
from workers.runtime.job_loop import Runtime
from workers.runtime.task_log import TaskEnded

QUEUE = "alpha.interactive"
BUSY = Busy("alpha", Cause.CONCURRENCY, now_ms() + 1_000)
TIMEOUT = 10.0


class Recorder:
    """A recorder that counts nothing."""

    def start(self) -> None:
        """Start nothing."""

    def run_after_flush(self, *_: object) -> None:
        """Run nothing."""


class Pauses:
    """The provider pauses of a worker."""

    paused: Mapping[str, Busy] = {}

    def find_busy(self, _now: int) -> Mapping[str, Busy]:
        return self.paused


class Pacer:
    """A pacer that gives every job the same answer."""

    def __init__(self) -> None:
        self.answer: Permit | Busy = Permit("alpha", Lane.INTERACTIVE, 0.0, 0)
        self.released: list[Permit] = []

    async def acquire(self, provider: str, lane: Lane) -> Permit | Busy:
        assert (provider, lane) == ("alpha", Lane.INTERACTIVE)
        return self.answer

    def release(self, permit: Permit) -> None:
        self.released.append(permit)


class Database:
    """A database that knows which leases are lost and which jobs are cancelled."""

    def __init__(self) -> None:
        self.renewal = Renewal([], [])
        self.renewed = threading.Event()

    async def write(self, *_: object, **__: object) -> Renewal:
        self.renewed.set()
        return self.renewal


class Context:
    """The parts of a WorkerContext that the loop uses itself."""

    worker_id = "worker-1"
    redis = None

    def __init__(self) -> None:
        self.routes = {"alpha": object()}
        self.pauses, self.pacer, self.database = Pauses(), Pacer(), Database()
        self.recorder = Recorder()
        self.publisher = self
        self.published: list[tuple[str, Lane, list[str]]] = []
        self.is_closed = False

    async def start(self) -> None:
        """Follow nothing."""

    def publish(self, provider: str, lane: Lane, job_ids: Sequence[str]) -> None:
        self.published.append((provider, lane, list(job_ids)))

    async def close(self) -> None:
        self.is_closed = True


class Runner:
    """Runs jobs by a function of the test, and records those that are deferred."""

    def __init__(self) -> None:
        self.attempts = RunningAttempts()
        self.pacing = self.outcomes = self
        self.ran: list[str] = []
        self.deferred: list[tuple[str, Busy]] = []
        self.cancelled = False  # whether the job of the last call was cancelled
        self.carry_out: Callable[[str], Awaitable[None]] = self._note

    async def run(self, _permit: Permit, job_id: str) -> JobResult:
        await self.carry_out(job_id)
        return JobResult.COMPLETED

    async def _note(self, job_id: str) -> None:
        self.ran.append(job_id)

    async def defer(self, _lane: Lane, job_id: str, busy: Busy) -> None:
        self.deferred.append((job_id, busy))

    async def share_pauses(self) -> None:
        """Share nothing."""

    async def reset_changed_credentials(self) -> None:
        """Reset nothing."""

    async def call_until_stopped(self, job_id: str, started: Callable[[], None]) -> bool:
        """Make a call that does not end. Return whether it was stopped."""
        with self.attempts.add(make_claimed_job(job_id)) as handle:
            handle.call = call = asyncio.get_running_loop().create_future()
            started()
            async with asyncio.timeout(TIMEOUT):
                await asyncio.wait([call])
            self.cancelled = handle.is_cancelled
        return call.cancelled()


def make_claimed_job(job_id: str) -> ClaimedJob:
    return cast("ClaimedJob", SimpleNamespace(id=job_id, attempt=1, background=None))


class Deliverer:
    """A deliverer that records what it is to send."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.waits = False
        self.received = threading.Event()
        self._closed = asyncio.Event()

    async def send(self, ids: Sequence[str]) -> None:
        self.received.set()
        if self.waits:
            await self._closed.wait()
        self.sent.extend(ids)

    def drain(self) -> None:
        """Refuse nothing."""

    async def aclose(self) -> None:
        """Stop what waits."""
        self._closed.set()


class Feed:
    """A receiver that is given its messages: the first is of jobs, the second of deliveries."""

    of: ClassVar[list["Feed"]] = []

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.of.append(self)

    async def receive(self, _queues: object, _limit: int, seconds: float) -> list[Message]:
        try:
            return [await asyncio.wait_for(self.messages.get(), seconds)]
        except TimeoutError:
            return []

    async def close(self) -> None:
        """Leave nothing behind."""


class Signals:
    """The signals that a worker sends."""

    CANCELLATION_CHANNEL = "cancelled"

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def report_alive(self, *_: object) -> None:
        self.sent.append("alive")

    async def report_gone(self, *_: object) -> None:
        self.sent.append("gone")


def run(runtime: Runtime, queue: str, ids: Sequence[str]) -> None:
    """Give the loop a message, and wait until its work has ended."""
    message = create_message(queue, ids)
    receiver = Feed.of[queue == DELIVERIES_QUEUE]
    runtime._loop.call_soon_threadsafe(receiver.messages.put_nowait, message)
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        if any(isinstance(e, TaskEnded) and e.message == message for e in runtime.tasks.take()):
            return
        time.sleep(0.002)
    raise TimeoutError


@pytest.fixture
def deliverer() -> Deliverer:
    return Deliverer()


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Signals:
    signals = Signals()
    monkeypatch.setattr(job_loop, "signals", signals)
    return signals


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def runtime(
    context: Context,
    runner: Runner,
    signals: Signals,
    deliverer: Deliverer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Runtime]:
    """A loop that runs, whose heartbeat is short, without the services of the leader."""

    async def wait(*_: object) -> None:
        await asyncio.Event().wait()

    Feed.of.clear()
    monkeypatch.setattr(job_loop, "open_receiver", lambda _: Feed())
    monkeypatch.setattr(job_loop, "open_context", lambda _: context)
    monkeypatch.setattr(job_loop, "build_shared_parts", lambda _: runner)
    monkeypatch.setattr(job_loop, "build_job_runner", lambda *_: runner)
    monkeypatch.setattr(job_loop, "build_deliverer", lambda _: deliverer)
    monkeypatch.setattr(Runtime, "_listen", wait)
    settings = Settings(heartbeat_seconds=0.01, soft_shutdown_seconds=0, stream_drain_seconds=0)
    runtime = Runtime(settings, dispatch=False)
    runtime.start()
    yield runtime
    if not context.is_closed:
        runtime.stop()


def test_a_bundle_runs_each_job_and_releases_its_permit(
    runtime: Runtime, context: Context, runner: Runner
) -> None:
    run(runtime, QUEUE, ["job_1", "job_2"])
    assert runner.ran == ["job_1", "job_2"]
    assert context.pacer.released == [context.pacer.answer] * 2
    assert context.published == []


def test_a_bundle_of_an_unknown_provider_is_left_to_others(
    runtime: Runtime, context: Context, runner: Runner
) -> None:
    run(runtime, "other.interactive", ["job_1"])
    assert (runner.ran, context.published, context.pacer.released) == ([], [], [])


def test_a_job_without_capacity_is_deferred(
    runtime: Runtime, context: Context, runner: Runner
) -> None:
    context.pacer.answer = BUSY
    run(runtime, QUEUE, ["job_1"])
    assert runner.deferred == [("job_1", BUSY)]
    assert (runner.ran, context.pacer.released) == ([], [])


def test_a_job_of_a_paused_provider_is_deferred_without_a_permit(
    runtime: Runtime, context: Context, runner: Runner
) -> None:
    context.pauses.paused = {"alpha": BUSY}
    run(runtime, QUEUE, ["job_1"])
    assert runner.deferred == [("job_1", BUSY)]
    assert (runner.ran, context.pacer.released) == ([], [])


@pytest.mark.parametrize(
    ("error", "event"), [(OSError("away"), "job.postponed"), (ZeroDivisionError(), "job.crashed")]
)
def test_a_job_that_raises_releases_its_permit_and_leaves_the_others_alone(
    runtime: Runtime, context: Context, runner: Runner, error: Exception, event: str
) -> None:
    ran: list[str] = []

    async def carry_out(job_id: str) -> None:
        if job_id == "job_1":
            raise error
        ran.append(job_id)

    runner.carry_out = carry_out
    with capture_logs() as logs:
        run(runtime, QUEUE, ["job_1", "job_2"])
    assert ran == ["job_2"]
    assert len(context.pacer.released) == 2
    assert [entry["event"] for entry in logs] == [event]


def test_a_draining_worker_publishes_its_bundles_again(
    runtime: Runtime, context: Context, runner: Runner
) -> None:
    runtime.drain()
    run(runtime, QUEUE, ["job_1", "job_2"])
    assert runner.ran == []
    assert context.published == [("alpha", Lane.INTERACTIVE, ["job_1", "job_2"])]


@pytest.mark.parametrize(
    ("renewal", "is_cancelled"),
    [(Renewal([], ["job_1"]), False), (Renewal(["job_1"], []), True)],
    ids=["lost lease", "cancelled"],
)
def test_the_heartbeat_stops_attempts_that_may_not_go_on(
    runtime: Runtime, context: Context, runner: Runner, renewal: Renewal, *, is_cancelled: bool
) -> None:
    stopped: list[bool] = []

    def end() -> None:
        context.database.renewal = renewal

    async def carry_out(job_id: str) -> None:
        stopped.append(await runner.call_until_stopped(job_id, end))

    runner.carry_out = carry_out
    run(runtime, QUEUE, ["job_1"])
    assert stopped == [True]
    assert runner.cancelled is is_cancelled


def test_a_shutdown_interrupts_attempts_that_take_too_long(
    runtime: Runtime, context: Context, runner: Runner, signals: Signals
) -> None:
    stopped: list[bool] = []

    async def carry_out(job_id: str) -> None:
        stopped.append(await runner.call_until_stopped(job_id, runtime.drain))

    runner.carry_out = carry_out
    run(runtime, QUEUE, ["job_1"])
    assert stopped == [True]
    assert runner.attempts.is_stopping
    runtime.stop()
    assert context.is_closed
    assert signals.sent[-1] == "gone"


def test_a_worker_reports_itself_alive(
    context: Context, signals: Signals, runtime: Runtime
) -> None:
    for _ in range(2):  # the first one may have begun before
        signals.sent.clear()
        context.database.renewed.clear()
        assert context.database.renewed.wait(TIMEOUT)
    assert "alive" in signals.sent


def test_the_queues_are_those_of_its_providers_and_the_deliveries(runtime: Runtime) -> None:
    everything = ["alpha.interactive", "alpha.batch", DELIVERIES_QUEUE]
    assert runtime.queues() == everything
    for name in everything:
        runtime.cancel_queue(name)
        assert runtime.queues() == [other for other in everything if other != name]
        runtime.add_queue(name)
    assert runtime.queues() == everything


def test_deliveries_are_passed_to_the_deliverer(runtime: Runtime, deliverer: Deliverer) -> None:
    run(runtime, DELIVERIES_QUEUE, ["dlv_1"])
    assert deliverer.sent == ["dlv_1"]


def test_deliveries_that_wait_for_a_lane_do_not_hold_up_the_end(
    runtime: Runtime, context: Context, deliverer: Deliverer
) -> None:
    # Given a message whose deliveries wait until the lanes are stopped
    deliverer.waits = True
    message = create_message(DELIVERIES_QUEUE, ["dlv_1"])
    runtime._loop.call_soon_threadsafe(Feed.of[1].messages.put_nowait, message)
    assert deliverer.received.wait(TIMEOUT)
    # When the worker stops
    stopping = threading.Thread(target=runtime.stop)
    stopping.start()
    stopping.join(TIMEOUT)
    # Then it ends
    assert context.is_closed
