"""Everybody's side: the snapshot that routing and pages read, refreshed in the background.

One bounded read a second: the spans that are still written to, the circuits, the calls in flight.
While Redis is away the last snapshot stands.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
import structlog
from redis.asyncio import Redis

from broker.background import Service
from broker.clock import now_ms
from broker.providers.endpoint_stats import NO_SNAPSHOT, Circuit, EndpointKey, Pause, Snapshot
from broker.providers.health import breaker as breakers
from broker.providers.health import circuits, counts, history
from broker.providers.health.breaker import CLOSED, Breaker
from broker.providers.health.counts import Resolution
from broker.providers.health.history import History
from broker.providers.health.recorder import IN_FLIGHT
from broker.providers.pacing import shared

REFRESH_SECONDS = 1.0
SILENT_MS = 20_000  # a worker that has not reported for so long has nothing in flight
GONE_MS = 3_600_000

log = structlog.get_logger()


class Observer:
    """Keeps a snapshot fresh. One that `judges` also opens the circuits it finds too bad."""

    def __init__(
        self, redis: Redis, *, judges: bool = False, clock: Callable[[], int] = now_ms
    ) -> None:
        self.snapshot: Snapshot = NO_SNAPSHOT
        self.circuits: Mapping[EndpointKey, Breaker] = {}
        self._redis = redis
        self._judges = judges
        self._clock = clock
        self._history = History()
        self._service = Service("observer", REFRESH_SECONDS, self.refresh)

    def start(self) -> None:
        self._service.start()

    async def close(self) -> None:
        await self._service.stop()

    async def refresh(self) -> None:
        """Read what is new, judge it, and make the next snapshot. Raises RedisError."""
        now = self._clock()
        known, paused, in_flight = await self._read(now)
        if self._judges:
            known |= await self._judge(known, paused, now)
        self.snapshot = await asyncio.to_thread(self._picture, known, paused, in_flight, now)
        self.circuits = known

    def _picture(
        self,
        known: Mapping[EndpointKey, Breaker],
        paused: Mapping[EndpointKey, Pause],
        in_flight: Mapping[EndpointKey, int],
        now: int,
    ) -> Snapshot:
        """Return all that is known now. In a thread: thousands of endpoints take a while."""
        stats = dict(self._history.stats(now))
        for endpoint, breaker in known.items():
            if breaker.since and endpoint in stats:
                seen = self._history.recovered(endpoint, now, since=breaker.since)
                stats[endpoint] = replace(stats[endpoint], since_recovery=seen)
        return Snapshot(history.with_circuits(stats, known, paused, in_flight, now), now)

    async def _read(
        self, now: int
    ) -> tuple[dict[EndpointKey, Breaker], dict[EndpointKey, Pause], dict[EndpointKey, int]]:
        wanted = self._history.wanted(now)
        pipeline = self._redis.pipeline(transaction=False)
        for resolution, start in wanted:
            pipeline.hgetall(resolution.key(start))
        for key in (circuits.KEY, shared.KEY, IN_FLIGHT):
            pipeline.hgetall(key)
        *spans, kept, paused, reports = await pipeline.execute()
        await asyncio.to_thread(self._take, dict(zip(wanted, spans, strict=True)), now)
        await self._forget(reports, now)
        return circuits.read(kept), shared.read_pauses(paused), _calls(reports, now)

    def _take(self, spans: Mapping[tuple[Resolution, int], Any], now: int) -> None:
        self._history.take({place: counts.read(span) for place, span in spans.items()}, now)

    async def _judge(
        self, known: Mapping[EndpointKey, Breaker], paused: Mapping[EndpointKey, Pause], now: int
    ) -> dict[EndpointKey, Breaker]:
        """Open what failed too often, forget what has recovered; return what has changed."""
        changed = {}
        for endpoint in self._history.tried_lately(now):
            breaker = known.get(endpoint, CLOSED)
            if breaker.circuit(now) is not Circuit.CLOSED:
                continue
            lately = self._history.lately(endpoint, now, since=breaker.since)
            bad = [(ok, failed) for ok, failed in lately if breakers.is_too_bad(ok, failed)]
            if bad:
                ok, failed = bad[0]
                why = f"{failed} of {ok + failed} recent attempts failed"
                pause = paused.get(endpoint)
                asked = max(pause.until - now, 0) if pause else 0
                changed[endpoint] = await self._open(endpoint, now, asked, why)
        for endpoint, breaker in known.items():
            if breakers.is_settled(breaker, now):
                _, changed[endpoint] = await circuits.change(
                    self._redis, endpoint, lambda b: CLOSED if breakers.is_settled(b, now) else b
                )
        return changed

    async def _open(self, endpoint: EndpointKey, now: int, asked_ms: int, why: str) -> Breaker:
        def step(breaker: Breaker) -> Breaker:
            if breaker.circuit(now) is not Circuit.CLOSED:
                return breaker
            return breakers.opened(breaker, now, retry_after_ms=asked_ms, why=why)

        before, after = await circuits.change(self._redis, endpoint, step)
        if before != after:
            provider, model = endpoint
            log.warning(
                "circuit.opened", provider=provider, model=model, why=why, until=after.until
            )
        return after

    async def _forget(self, reports: Mapping[bytes, bytes], now: int) -> None:
        """Drop the reports of workers that are long gone."""
        gone = [name for name, told in reports.items() if orjson.loads(told)["at"] < now - GONE_MS]
        if gone:
            client: Any = self._redis
            await client.hdel(IN_FLIGHT, *gone)


def _calls(reports: Mapping[bytes, bytes], now: int) -> dict[EndpointKey, int]:
    total: dict[EndpointKey, int] = {}
    for told in reports.values():
        report = orjson.loads(told)
        if report["at"] < now - SILENT_MS:
            continue
        for field, calls in report["calls"].items():
            endpoint = circuits.endpoint_of(field.encode())
            total[endpoint] = total.get(endpoint, 0) + calls
    return total
