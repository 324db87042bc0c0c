"""The loop of a worker process: bundles, capacity, leases, cancellation and shutdown."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from broker.clock import now_ms
from broker.lifecycle import Renewal
from broker.providers.pacing import Busy, Cause, Permit
from broker.queues import Lane
from broker.settings import Settings
from workers.runtime import job_loop
from workers.runtime.job_loop import Runtime

QUEUE = "alpha.interactive"
BUSY = Busy("alpha", Cause.CONCURRENCY, now_ms() + 1_000)
TIMEOUT = 10.0


class Part:
    """A part of the context that is only started and closed."""

    def start(self, *_: object) -> None:
        """Start nothing."""

    def run_after_flush(self, *_: object) -> None:
        """Run nothing."""


class Pauses:
    """The provider pauses of a worker."""

    paused: Mapping[str, Busy] = {}

    async def start(self) -> None:
        """Read nothing."""

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
    throttles = None

    def __init__(self) -> None:
        self.routes = {"alpha": object()}
        self.pauses, self.pacer, self.database = Pauses(), Pacer(), Database()
        self.recorder = self.observer = self.credentials = Part()
        self.publisher = self
        self.published: list[tuple[str, Lane, list[str]]] = []
        self.held: dict[str, int] = {}
        self.called_off: dict[str, bool] = {}
        self.running: dict[str, asyncio.Future[Any]] = {}
        self.streaming: set[str] = set()
        self.stopping = asyncio.Event()
        self.is_closed = False

    def publish(self, provider: str, lane: Lane, job_ids: list[str]) -> None:
        self.published.append((provider, lane, job_ids))

    async def close(self) -> None:
        self.is_closed = True


class Deliverer:
    """A deliverer without deliveries."""

    @classmethod
    def of(cls, _context: object) -> "Deliverer":
        return cls()

    def drain(self) -> None:
        """Refuse nothing."""

    async def aclose(self) -> None:
        """Wait for nothing."""


class Signals:
    """The signals that a worker sends."""

    CALLED_OFF_CHANNEL = "cancelled"

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def report_alive(self, *_: object) -> None:
        self.sent.append("alive")

    async def report_gone(self, *_: object) -> None:
        self.sent.append("gone")


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Signals:
    signals = Signals()
    monkeypatch.setattr(job_loop, "signals", signals)
    return signals


@pytest.fixture
def runtime(
    context: Context, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    """A loop that runs, whose heartbeat is short, without the services of the leader."""

    async def wait(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(job_loop, "open_context", lambda _: context)
    monkeypatch.setattr(job_loop, "Deliverer", Deliverer)
    monkeypatch.setattr(job_loop, "share_pauses", wait)
    monkeypatch.setattr(Runtime, "_listen", wait)
    settings = Settings(heartbeat_seconds=0.01, soft_shutdown_seconds=0, stream_drain_seconds=0)
    runtime = Runtime(settings, dispatch=False)
    runtime.start()
    yield runtime
    if not context.is_closed:
        runtime.stop()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that were run."""
    ran: list[str] = []

    async def run_job(_context: object, _permit: Permit, job_id: str) -> None:
        ran.append(job_id)

    monkeypatch.setattr(job_loop, "run_job", run_job)
    return ran


@pytest.fixture
def deferred(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Busy]]:
    """The jobs that were deferred, each with its reason."""
    deferred: list[tuple[str, Busy]] = []

    async def defer(_context: object, _lane: Lane, job_id: str, busy: Busy) -> None:
        deferred.append((job_id, busy))

    monkeypatch.setattr(job_loop, "defer", defer)
    return deferred


def test_a_bundle_runs_each_job_and_releases_its_permit(
    runtime: Runtime, context: Context, ran: list[str]
) -> None:
    runtime.run_bundle(QUEUE, ["job_1", "job_2"])
    assert ran == ["job_1", "job_2"]
    assert context.pacer.released == [context.pacer.answer] * 2
    assert context.published == []


def test_a_bundle_of_an_unknown_provider_is_left_to_others(
    runtime: Runtime, context: Context, ran: list[str]
) -> None:
    runtime.run_bundle("other.interactive", ["job_1"])
    assert (ran, context.published, context.pacer.released) == ([], [], [])


def test_a_job_without_capacity_is_deferred(
    runtime: Runtime, context: Context, ran: list[str], deferred: list[tuple[str, Busy]]
) -> None:
    context.pacer.answer = BUSY
    runtime.run_bundle(QUEUE, ["job_1"])
    assert deferred == [("job_1", BUSY)]
    assert (ran, context.pacer.released) == ([], [])


def test_a_job_of_a_paused_provider_is_deferred_without_a_permit(
    runtime: Runtime, context: Context, ran: list[str], deferred: list[tuple[str, Busy]]
) -> None:
    context.pauses.paused = {"alpha": BUSY}
    runtime.run_bundle(QUEUE, ["job_1"])
    assert deferred == [("job_1", BUSY)]
    assert (ran, context.pacer.released) == ([], [])


@pytest.mark.parametrize(
    ("error", "event"), [(OSError("away"), "job.put_off"), (ZeroDivisionError(), "job.crashed")]
)
def test_a_job_that_raises_releases_its_permit_and_leaves_the_others_alone(
    runtime: Runtime, context: Context, monkeypatch: pytest.MonkeyPatch,
    error: Exception, event: str,
) -> None:  # fmt: skip
    ran: list[str] = []

    async def run_job(_context: object, _permit: Permit, job_id: str) -> None:
        if job_id == "job_1":
            raise error
        ran.append(job_id)

    monkeypatch.setattr(job_loop, "run_job", run_job)
    with capture_logs() as logs:
        runtime.run_bundle(QUEUE, ["job_1", "job_2"])
    assert ran == ["job_2"]
    assert len(context.pacer.released) == 2
    assert [entry["event"] for entry in logs] == [event]


def test_a_draining_worker_publishes_its_bundles_again(
    runtime: Runtime, context: Context, ran: list[str]
) -> None:
    runtime.drain()
    runtime.run_bundle(QUEUE, ["job_1", "job_2"])
    assert ran == []
    assert context.published == [("alpha", Lane.INTERACTIVE, ["job_1", "job_2"])]


@pytest.mark.parametrize(
    ("end", "called_off"),
    [
        (lambda context: Renewal([], ["job_1"]), {}),
        (lambda context: Renewal(["job_1"], []), {"job_1": True}),
    ],
    ids=["lost lease", "cancelled"],
)
def test_the_heartbeat_stops_attempts_that_may_not_go_on(
    runtime: Runtime,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Context], Renewal],
    called_off: dict[str, bool],
) -> None:
    cancelled: list[str] = []

    async def run_job(_context: object, _permit: Permit, job_id: str) -> None:
        context.held[job_id] = 1
        context.running[job_id] = attempt = asyncio.get_running_loop().create_future()
        context.database.renewal = end(context)
        async with asyncio.timeout(TIMEOUT):
            await asyncio.wait([attempt])
        if attempt.cancelled():
            cancelled.append(job_id)

    monkeypatch.setattr(job_loop, "run_job", run_job)
    runtime.run_bundle(QUEUE, ["job_1"])
    assert cancelled == ["job_1"]
    assert context.called_off == called_off


def test_a_shutdown_interrupts_attempts_that_take_too_long(
    runtime: Runtime, context: Context, signals: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[str] = []

    async def run_job(_context: object, _permit: Permit, job_id: str) -> None:
        context.running[job_id] = attempt = asyncio.get_running_loop().create_future()
        runtime.drain()
        async with asyncio.timeout(TIMEOUT):
            await asyncio.wait([attempt])
        if attempt.cancelled():
            cancelled.append(job_id)
            del context.running[job_id]

    monkeypatch.setattr(job_loop, "run_job", run_job)
    runtime.run_bundle(QUEUE, ["job_1"])
    assert cancelled == ["job_1"]
    assert context.stopping.is_set()
    runtime.stop()
    assert context.is_closed
    assert signals.sent[-1] == "gone"


@pytest.mark.parametrize("consuming", [True, False])
def test_only_a_worker_that_consumes_reports_itself_alive(
    context: Context,
    signals: Signals,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    *,
    consuming: bool,
) -> None:
    monkeypatch.setattr(runtime, "_is_consuming", lambda: consuming)
    with capture_logs() as logs:
        for _ in range(2):  # the first one may have begun before
            signals.sent.clear()
            context.database.renewed.clear()
            assert context.database.renewed.wait(TIMEOUT)
    assert ("alive" in signals.sent) is consuming
    assert ("worker.not_consuming" in {entry["event"] for entry in logs}) is not consuming
