"""Count the outcomes of a worker's calls, and send the counts to Redis together.

No job waits for it: a job's answer is published first. A count that is lost with Redis stays lost.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from broker.clock import now_ms
from broker.providers.endpoint_stats import EndpointKey
from broker.providers.health import circuits
from broker.providers.health import counts as buckets
from broker.providers.health.breaker import Verdict
from broker.providers.health.counts import HOURS, MINUTES, MOMENTS, PREFIX, Resolution
from broker.values import immutable

IN_FLIGHT = f"{PREFIX}in-flight"
MAX_ENDPOINTS = 5_000  # counted by their names in one process
TOTALS = f"{PREFIX}totals"  # attempts since the installation began, for metrics
PAUSE_SECONDS = 0.2  # between two flushes: the attempts of that time are sent together
REPORT_SECONDS = 5.0  # the longest time between two reports of calls in flight

log = structlog.get_logger()

FollowUp = Callable[[], Coroutine[Any, Any, None]]


@immutable
class Observation:
    """The measurements of one attempt; None where a value was not measured."""

    endpoint: EndpointKey
    verdict: Verdict
    kind: str | None = None  # a failure's error type
    first_token_ms: int | None = None
    tokens_per_second: float | None = None
    retry_after_ms: int = 0

    def list_codes(self) -> list[str]:
        """Return the codes to count."""
        codes: list[str] = [self.verdict.value]
        if self.kind is not None:
            codes.append(buckets.KIND + self.kind)
        if self.first_token_ms is not None:
            codes.append(f"{buckets.WAIT}{buckets.find_bucket(self.first_token_ms)}")
        if self.tokens_per_second is not None:
            codes.append(f"{buckets.SPEED}{buckets.find_bucket(self.tokens_per_second)}")
        return codes


class Recorder:
    """Collects observations, and sends their counts soon."""

    def __init__(self, redis: Redis, reporter: str, clock: Callable[[], int] = now_ms) -> None:
        self._redis = redis
        self._reporter = reporter  # the id of this worker
        self._clock = clock
        self._counts: Counter[tuple[Resolution, int, str]] = Counter()
        self._in_flight: Counter[EndpointKey] = Counter()
        self._endpoints: set[EndpointKey] = set()
        self._follow_ups: list[FollowUp] = []
        self._work = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Send the remaining counts and stop."""
        self._closing.set()
        self._work.set()
        if self._task is not None:
            await self._task

    @contextmanager
    def in_flight(self, endpoint: EndpointKey) -> Iterator[None]:
        """Count a call as in flight while the context is open."""
        self._in_flight[endpoint] += 1
        self._work.set()
        try:
            yield
        finally:
            self._in_flight[endpoint] -= 1
            self._work.set()

    def record(self, observation: Observation) -> None:
        """Count an attempt."""
        now = self._clock()
        for code in observation.list_codes():
            self._count(MINUTES, now, observation.endpoint, code)
        if observation.verdict in (Verdict.OK, Verdict.FAILED):
            self._count(MOMENTS, now, observation.endpoint, observation.verdict.value)
            self._count(HOURS, now, observation.endpoint, observation.verdict.value)
        self._work.set()

    def count_deviation(self, endpoint: EndpointKey) -> None:
        """Count an answer whose cost, as the provider reports it, differs from the computed one."""
        self._count(MINUTES, self._clock(), endpoint, buckets.COST_DEVIATES)
        self._work.set()

    def run_after_flush(self, follow_up: FollowUp) -> None:
        """Run a rare task after the next flush."""
        self._follow_ups.append(follow_up)
        self._work.set()

    def _count(self, resolution: Resolution, now: int, endpoint: EndpointKey, code: str) -> None:
        field = buckets.encode_field(self._find_label(endpoint), code)
        self._counts[resolution, resolution.start(now), field] += 1

    def _find_label(self, endpoint: EndpointKey) -> EndpointKey:
        """Return the key to count an endpoint by; callers may name any number of models."""
        if endpoint not in self._endpoints:
            if len(self._endpoints) >= MAX_ENDPOINTS:
                return endpoint[0], buckets.OTHER
            self._endpoints.add(endpoint)
        return endpoint

    async def _run(self) -> None:
        while not self._closing.is_set():
            await _wait_at_most(REPORT_SECONDS, self._work)
            await self._flush()
            await _wait_at_most(PAUSE_SECONDS, self._closing)
        await self._flush()

    async def _flush(self) -> None:
        self._work.clear()
        counts, self._counts = self._counts, Counter()
        follow_ups, self._follow_ups = self._follow_ups, []
        try:
            await self._send(counts)
        except (RedisError, OSError) as error:
            log.info("health.not_sent", counts=len(counts), error=str(error))
        for follow_up in follow_ups:
            try:
                await follow_up()
            except Exception as error:  # noqa: BLE001  # one that fails must not stop the counting
                log.warning("health.follow_up_failed", error=str(error))

    async def _send(self, counts: Counter[tuple[Resolution, int, str]]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for (resolution, start, field), number in counts.items():
            pipeline.hincrby(resolution.key(start), field, number)
        for resolution, start in {(resolution, start) for resolution, start, _ in counts}:
            pipeline.expire(resolution.key(start), resolution.lifetime_seconds)
        for (resolution, _, field), number in counts.items():
            if resolution is MINUTES and buckets.is_total(field):
                pipeline.hincrby(TOTALS, field, number)
        self._in_flight += Counter()  # drops endpoints without a call
        report = {
            circuits.encode_endpoint(endpoint): calls for endpoint, calls in self._in_flight.items()
        }
        stored = orjson.dumps({"at": self._clock(), "calls": report})
        pipeline.hset(IN_FLIGHT, self._reporter, stored)
        await pipeline.execute()


async def _wait_at_most(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, at most `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
