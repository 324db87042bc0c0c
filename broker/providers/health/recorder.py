"""A worker's side: counts what its calls saw, and sends what has gathered in one round trip.

Nothing waits for it: a job's answer is published first. A count that is lost with Redis stays lost.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from broker.clock import now_ms
from broker.providers.endpoint_stats import EndpointKey
from broker.providers.health import circuits
from broker.providers.health import counts as buckets
from broker.providers.health import counts as histogram
from broker.providers.health.breaker import Verdict
from broker.providers.health.counts import HOURS, MINUTES, MOMENTS, PREFIX, Resolution

IN_FLIGHT = f"{PREFIX}in-flight"
MOST_ENDPOINTS = 5_000  # that one process counts by their names
TOTALS = f"{PREFIX}totals"  # attempts since the beginning, for counters that never fall
PAUSE_SECONDS = 0.2  # between two sendings: attempts of that time go together
REPORT_SECONDS = 5.0  # calls in flight are reported at least so often

log = structlog.get_logger()

Errand = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Seen:
    """The measurements of one attempt. None where it measured nothing of the kind."""

    endpoint: EndpointKey
    verdict: Verdict
    kind: str | None = None  # a failure's error type
    first_token_ms: int | None = None
    tokens_per_second: float | None = None
    retry_after_ms: int = 0

    def codes(self) -> list[str]:
        """Return what is counted of it."""
        codes: list[str] = [self.verdict.value]
        if self.kind is not None:
            codes.append(buckets.KIND + self.kind)
        if self.first_token_ms is not None:
            codes.append(f"{buckets.WAIT}{histogram.bucket(self.first_token_ms)}")
        if self.tokens_per_second is not None:
            codes.append(f"{buckets.SPEED}{histogram.bucket(self.tokens_per_second)}")
        return codes


class Recorder:
    """Gathers what was seen, and sends it soon."""

    def __init__(self, redis: Redis, reporter: str, clock: Callable[[], int] = now_ms) -> None:
        self._redis = redis
        self._reporter = reporter  # this worker: whose calls in flight these are
        self._clock = clock
        self._counts: Counter[tuple[Resolution, int, str]] = Counter()
        self._in_flight: Counter[EndpointKey] = Counter()
        self._endpoints: set[EndpointKey] = set()
        self._errands: list[Errand] = []
        self._something = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Send what has gathered and stop."""
        self._closing.set()
        self._something.set()
        if self._task is not None:
            await self._task

    @contextmanager
    def in_flight(self, endpoint: EndpointKey) -> Iterator[None]:
        """Count a call as being under way, for as long as this lasts."""
        self._in_flight[endpoint] += 1
        self._something.set()
        try:
            yield
        finally:
            self._in_flight[endpoint] -= 1
            self._something.set()

    def record(self, seen: Seen) -> None:
        """Count an attempt."""
        now = self._clock()
        for code in seen.codes():
            self._count(MINUTES, now, seen.endpoint, code)
        if seen.verdict in (Verdict.OK, Verdict.FAILED):
            self._count(MOMENTS, now, seen.endpoint, seen.verdict.value)
            self._count(HOURS, now, seen.endpoint, seen.verdict.value)
        self._something.set()

    def count_deviation(self, endpoint: EndpointKey) -> None:
        """Count an answer whose cost the provider states otherwise than we compute it."""
        self._count(MINUTES, self._clock(), endpoint, buckets.COST_DEVIATES)
        self._something.set()

    def later(self, errand: Errand) -> None:
        """Run something rare after the next sending."""
        self._errands.append(errand)
        self._something.set()

    def _count(self, resolution: Resolution, now: int, endpoint: EndpointKey, code: str) -> None:
        field = buckets.field(self._told_as(endpoint), code)
        self._counts[resolution, resolution.start(now), field] += 1

    def _told_as(self, endpoint: EndpointKey) -> EndpointKey:
        """Return the name under which an endpoint is counted: callers may make up any number."""
        if endpoint not in self._endpoints:
            if len(self._endpoints) >= MOST_ENDPOINTS:
                return endpoint[0], buckets.OTHER
            self._endpoints.add(endpoint)
        return endpoint

    async def _run(self) -> None:
        while not self._closing.is_set():
            await _within(REPORT_SECONDS, self._something)
            await self._flush()
            await _within(PAUSE_SECONDS, self._closing)
        await self._flush()

    async def _flush(self) -> None:
        self._something.clear()
        counts, self._counts = self._counts, Counter()
        errands, self._errands = self._errands, []
        try:
            await self._send(counts)
        except (RedisError, OSError) as error:
            log.info("health.not_sent", counts=len(counts), error=str(error))
        for errand in errands:
            try:
                await errand()
            except Exception as error:  # noqa: BLE001  # one that fails must not stop the counting
                log.warning("health.errand_failed", error=str(error))

    async def _send(self, counts: Counter[tuple[Resolution, int, str]]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for (resolution, start, field), seen in counts.items():
            pipeline.hincrby(resolution.key(start), field, seen)
        for resolution, start in {(resolution, start) for resolution, start, _ in counts}:
            pipeline.expire(resolution.key(start), resolution.lifetime_seconds)
        for (resolution, _, field), seen in counts.items():
            if resolution is MINUTES and buckets.is_total(field):
                pipeline.hincrby(TOTALS, field, seen)
        self._in_flight += Counter()  # forget endpoints without a call
        report = {circuits.name(endpoint): calls for endpoint, calls in self._in_flight.items()}
        told = orjson.dumps({"at": self._clock(), "calls": report})
        pipeline.hset(IN_FLIGHT, self._reporter, told)
        await pipeline.execute()


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, so long at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
