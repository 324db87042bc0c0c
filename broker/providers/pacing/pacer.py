"""Request the slots for all waiting jobs of a process, in one round trip to Redis.

Jobs that arrive during a round trip are in the next one. When Redis does not answer within half a
second, the process applies the limits by itself (`gate.LocalBounds`) and tries Redis again later.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from broker.background import end_tasks
from broker.clock import now_ms
from broker.providers.pacing.gate import Gate, LocalBounds, Permit, Waiter
from broker.providers.pacing.limits import Busy, ProviderLimits
from broker.providers.pacing.shared import ADMIT, SlotAnswer, SlotRequest, build_keys, decode_answer
from broker.queues import Lane

REDIS_TIMEOUT_SECONDS = 0.5  # for one answer
AWAY_SECONDS = 2.0  # without requests after a failed one
POLL_SECONDS = 0.05  # between requests while jobs wait
IDLE_SECONDS = 1.0

log = structlog.get_logger()


class Pacer:
    """Grant calls to providers, for one process."""

    def __init__(
        self, redis: Redis, process: str, limits: Mapping[str, ProviderLimits], *, max_calls: int
    ) -> None:
        self._redis = redis
        self._process = process
        self._max_calls = max_calls  # calls in flight in this process, to all providers together
        self._gates = {slug: Gate(slug, each, LocalBounds(each)) for slug, each in limits.items()}
        self._held = 0
        self._away_until = 0.0
        self._wake = asyncio.Event()
        self._script = redis.register_script(ADMIT)
        self._task = asyncio.create_task(self._run())

    def add(self, provider: str, limits: ProviderLimits) -> None:
        """Add a provider."""
        self._gates.setdefault(provider, Gate(provider, limits, LocalBounds(limits)))

    def counts_tokens(self, provider: str) -> bool:
        return bool(self._gates[provider].limits.tokens_per_minute)

    def find_denials(self, lane: Lane, now: int) -> dict[str, Busy]:
        """Return the denials of this lane that still hold, by provider."""
        found = ((slug, gate.denials.get(lane)) for slug, gate in self._gates.items())
        return {slug: busy for slug, busy in found if busy is not None and busy.until > now}

    async def acquire(self, provider: str, lane: Lane) -> Permit | Busy:
        """Return a permit within half a second at most, or the cause to wait.

        Raises KeyError for a provider that is not configured.
        """
        gate = self._gates[provider]
        loop = asyncio.get_running_loop()
        if lane is Lane.INTERACTIVE and self._held < self._max_calls:
            permit = gate.take_spare(loop.time())
            if permit is not None:
                self._held += 1
                return permit
        busy = gate.find_block(lane, now_ms())
        if busy is not None:
            return busy
        waiter = Waiter(loop.create_future(), loop.time())
        gate.wait(lane, waiter)
        self._wake.set()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self._return_unused(waiter)
            raise

    def recount(self, permit: Permit, tokens: int) -> None:
        """Count a call with these tokens against the provider's minute, instead of a guess."""
        self._gates[permit.provider].recount(permit, tokens)

    def release(self, permit: Permit) -> None:
        """Return a permit. Never waits."""
        gate = self._gates[permit.provider]
        self._held -= 1
        gate.release(permit, asyncio.get_running_loop().time())
        if gate.is_scarce or self._has_waiters():
            self._wake.set()

    async def close(self) -> None:
        """Stop, and free the slots of this process; without Redis they end with their lease."""
        await end_tasks({self._task})
        gates = [gate for gate in self._gates.values() if gate.reported_held]
        if gates:
            await self._request_slots([gate.build_request(self._process, 0) for gate in gates])

    def _return_unused(self, waiter: Waiter) -> None:
        if waiter.future.done() and not waiter.future.cancelled():
            permit = waiter.future.result()
            if isinstance(permit, Permit):
                self.release(permit)

    def _has_waiters(self) -> bool:
        return any(gate.has_waiters for gate in self._gates.values())

    async def _run(self) -> None:
        while True:
            timeout = POLL_SECONDS if self._has_waiters() else IDLE_SECONDS
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._exchange()
            except Exception:  # the waiters need another try
                log.exception("pacing.failed")
                await asyncio.sleep(POLL_SECONDS)

    async def _exchange(self) -> None:
        """Request slots for every gate that needs them, and admit its waiters."""
        loop = asyncio.get_running_loop()
        gates = [gate for gate in self._gates.values() if gate.needs_request(loop.time())]
        if not gates:
            return
        left = max(self._max_calls - self._held, 0)
        requests = []
        for gate in gates:
            requests.append(request := gate.build_request(self._process, left))
            left -= request.interactive + request.batch
        answers = await self._request_slots(requests)
        for gate, request, slots in zip(gates, requests, answers, strict=True):
            before = gate.held
            gate.apply_answer(request, slots, loop.time(), now_ms())
            self._held += gate.held - before

    async def _request_slots(self, requests: Sequence[SlotRequest]) -> list[SlotAnswer]:
        """Request slots from Redis; without an answer, grant them by the local limits."""
        now = asyncio.get_running_loop().time()
        if now >= self._away_until:
            try:
                async with asyncio.timeout(REDIS_TIMEOUT_SECONDS):
                    return [decode_answer(reply) for reply in await self._run_script(requests)]
            except (RedisError, OSError, TimeoutError) as error:
                self._away_until = now + AWAY_SECONDS
                log.warning("pacing.no_redis", error=str(error) or type(error).__name__)
        return [self._gates[request.provider].local.grant(request) for request in requests]

    async def _run_script(self, requests: Sequence[SlotRequest]) -> list[Any]:
        if len(requests) == 1:
            [request] = requests
            return [await self._script(build_keys(request.provider), request.arguments())]
        pipeline = self._redis.pipeline(transaction=False)
        for request in requests:
            await self._script(build_keys(request.provider), request.arguments(), client=pipeline)
        return list(await pipeline.execute())
