"""Refresh the snapshot of endpoint stats in the background, for routing and pages.

Each second it reads the spans that can still change, the circuits and the calls in flight. Without
Redis the last snapshot stays in use.
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
DELETE_AFTER_MS = 3_600_000

log = structlog.get_logger()


class Observer:
    """Keeps a snapshot current. With `opens_circuits` it also opens and deletes circuits."""

    def __init__(
        self, redis: Redis, *, opens_circuits: bool = False, clock: Callable[[], int] = now_ms
    ) -> None:
        self.snapshot: Snapshot = NO_SNAPSHOT
        self.circuits: Mapping[EndpointKey, Breaker] = {}
        self._redis = redis
        self._opens_circuits = opens_circuits
        self._clock = clock
        self._history = History()
        self._service = Service("observer", REFRESH_SECONDS, self.refresh)

    def start(self) -> None:
        self._service.start()

    async def close(self) -> None:
        await self._service.stop()

    async def refresh(self) -> None:
        """Read counts, update circuits and build the next snapshot. Raises RedisError."""
        now = self._clock()
        known, paused, in_flight = await self._read(now)
        if self._opens_circuits:
            known |= await self._update_circuits(known, paused, now)
        self.snapshot = await asyncio.to_thread(self._build_snapshot, known, paused, in_flight, now)
        self.circuits = known

    def _build_snapshot(
        self,
        known: Mapping[EndpointKey, Breaker],
        paused: Mapping[EndpointKey, Pause],
        in_flight: Mapping[EndpointKey, int],
        now: int,
    ) -> Snapshot:
        """Build the snapshot, in a thread: thousands of endpoints take a while."""
        stats = dict(self._history.compute_stats(now))
        for endpoint, breaker in known.items():
            if breaker.since and endpoint in stats:
                seen = self._history.count_since(endpoint, now, since=breaker.since)
                stats[endpoint] = replace(stats[endpoint], since_recovery=seen)
        return Snapshot(history.add_circuits(stats, known, paused, in_flight, now), now)

    async def _read(
        self, now: int
    ) -> tuple[dict[EndpointKey, Breaker], dict[EndpointKey, Pause], dict[EndpointKey, int]]:
        missing = self._history.find_missing_spans(now)
        pipeline = self._redis.pipeline(transaction=False)
        for resolution, start in missing:
            pipeline.hgetall(resolution.key(start))
        for key in (circuits.KEY, shared.KEY, IN_FLIGHT):
            pipeline.hgetall(key)
        *spans, breakers_by_field, paused, reports = await pipeline.execute()
        await asyncio.to_thread(self._add_spans, dict(zip(missing, spans, strict=True)), now)
        await self._delete_old_reports(reports, now)
        return (
            circuits.decode_all(breakers_by_field),
            shared.read_pauses(paused),
            _sum_calls(reports, now),
        )

    def _add_spans(self, spans: Mapping[tuple[Resolution, int], Any], now: int) -> None:
        self._history.add_spans(
            {key: counts.decode_counts(span) for key, span in spans.items()}, now
        )

    async def _update_circuits(
        self, known: Mapping[EndpointKey, Breaker], paused: Mapping[EndpointKey, Pause], now: int
    ) -> dict[EndpointKey, Breaker]:
        """Open the circuits of failing endpoints, delete obsolete ones; return the changed ones."""
        changed = {}
        for endpoint in self._history.find_recent_endpoints(now):
            breaker = known.get(endpoint, CLOSED)
            if breaker.circuit(now) is not Circuit.CLOSED:
                continue
            recent = self._history.count_recent(endpoint, now, since=breaker.since)
            failing = [
                (ok, failed) for ok, failed in recent if breakers.exceeds_threshold(ok, failed)
            ]
            if failing:
                ok, failed = failing[0]
                why = f"{failed} of {ok + failed} recent attempts failed"
                pause = paused.get(endpoint)
                retry_after_ms = max(pause.until - now, 0) if pause else 0
                changed[endpoint] = await self._open_circuit(endpoint, now, retry_after_ms, why)
        for endpoint, breaker in known.items():
            if breakers.is_obsolete(breaker, now):
                _, changed[endpoint] = await circuits.change(
                    self._redis, endpoint, lambda b: CLOSED if breakers.is_obsolete(b, now) else b
                )
        return changed

    async def _open_circuit(
        self, endpoint: EndpointKey, now: int, retry_after_ms: int, why: str
    ) -> Breaker:
        def step(breaker: Breaker) -> Breaker:
            if breaker.circuit(now) is not Circuit.CLOSED:
                return breaker
            return breakers.open_circuit(breaker, now, retry_after_ms=retry_after_ms, why=why)

        before, after = await circuits.change(self._redis, endpoint, step)
        if before != after:
            provider, model = endpoint
            log.warning(
                "circuit.opened", provider=provider, model=model, why=why, until=after.until
            )
        return after

    async def _delete_old_reports(self, reports: Mapping[bytes, bytes], now: int) -> None:
        """Delete the reports of workers that stopped long ago."""
        old = [
            name
            for name, report in reports.items()
            if orjson.loads(report)["at"] < now - DELETE_AFTER_MS
        ]
        if old:
            client: Any = self._redis
            await client.hdel(IN_FLIGHT, *old)


def _sum_calls(reports: Mapping[bytes, bytes], now: int) -> dict[EndpointKey, int]:
    total: dict[EndpointKey, int] = {}
    for stored in reports.values():
        report = orjson.loads(stored)
        if report["at"] < now - SILENT_MS:
            continue
        for field, calls in report["calls"].items():
            endpoint = circuits.decode_endpoint(field.encode())
            total[endpoint] = total.get(endpoint, 0) + calls
    return total
