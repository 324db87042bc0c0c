"""Asks for all of a process's waiting jobs at once: one round trip however many there are.

While a round trip is under way new questions gather for the next one. When Redis does not answer
within half a second, every process keeps to the limits by itself (see `local`), and asks again
later.
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
from broker.providers.pacing.shared import ADMIT, SlotAnswer, SlotRequest, answer, keys
from broker.queues import Lane

ANSWER_SECONDS = 0.5  # what Redis may take
AWAY_SECONDS = 2.0  # no request is sent again for so long
LOOK_SECONDS = 0.05  # between questions while somebody waits
IDLE_SECONDS = 1.0

log = structlog.get_logger()


class Pacer:
    """Grant calls to providers, for one process."""

    def __init__(
        self, redis: Redis, process: str, limits: Mapping[str, ProviderLimits], *, most: int
    ) -> None:
        self._redis = redis
        self._process = process
        self._most = most  # calls in flight in this process, to all providers together
        self._gates = {slug: Gate(slug, each, LocalBounds(each)) for slug, each in limits.items()}
        self._held = 0
        self._away_until = 0.0
        self._wake = asyncio.Event()
        self._script = redis.register_script(ADMIT)
        self._task = asyncio.create_task(self._run())

    def add(self, provider: str, limits: ProviderLimits) -> None:
        """Know one provider more."""
        self._gates.setdefault(provider, Gate(provider, limits, LocalBounds(limits)))

    def counts_tokens(self, provider: str) -> bool:
        return bool(self._gates[provider].limits.tokens_per_minute)

    def denials(self, lane: Lane, now: int) -> dict[str, Busy]:
        """Return the providers that turned jobs of this lane away, for as long as that holds."""
        found = ((slug, gate.denied.get(lane)) for slug, gate in self._gates.items())
        return {slug: busy for slug, busy in found if busy is not None and busy.until > now}

    async def acquire(self, provider: str, lane: Lane) -> Permit | Busy:
        """Return a permit for one call, at once or after half a second at most, or why not.

        Raises KeyError for a provider that is not configured.
        """
        gate = self._gates[provider]
        loop = asyncio.get_running_loop()
        if lane is Lane.INTERACTIVE and self._held < self._most:
            permit = gate.take_spare(loop.time())
            if permit is not None:
                self._held += 1
                return permit
        busy = gate.is_shut(lane, now_ms())
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
        """Give a permit back. Never waits."""
        gate = self._gates[permit.provider]
        self._held -= 1
        gate.release(permit, asyncio.get_running_loop().time())
        if gate.is_tight or self._somebody_waits():
            self._wake.set()

    async def close(self) -> None:
        """Stop; what this process still held lapses with its lease, or is given back now."""
        await end_tasks({self._task})
        gates = [gate for gate in self._gates.values() if gate.told_held]
        if gates:
            await self._shared([gate.ask(self._process, 0) for gate in gates])

    def _return_unused(self, waiter: Waiter) -> None:
        if waiter.future.done() and not waiter.future.cancelled():
            got = waiter.future.result()
            if isinstance(got, Permit):
                self.release(got)

    def _somebody_waits(self) -> bool:
        return any(gate.waits for gate in self._gates.values())

    async def _run(self) -> None:
        while True:
            patience = LOOK_SECONDS if self._somebody_waits() else IDLE_SECONDS
            try:
                async with asyncio.timeout(patience):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._turn()
            except Exception:  # whoever waits would wait for ever
                log.exception("pacing.failed")
                await asyncio.sleep(LOOK_SECONDS)

    async def _turn(self) -> None:
        """Ask for every gate that has something to ask, and let in who may come."""
        loop = asyncio.get_running_loop()
        gates = [gate for gate in self._gates.values() if gate.speaks(loop.time())]
        if not gates:
            return
        left = max(self._most - self._held, 0)
        asks = []
        for gate in gates:
            asks.append(ask := gate.ask(self._process, left))
            left -= ask.interactive + ask.batch
        answers = await self._shared(asks)
        for gate, ask, said in zip(gates, asks, answers, strict=True):
            before = gate.held
            gate.hear(ask, said, loop.time(), now_ms())
            self._held += gate.held - before

    async def _shared(self, asks: Sequence[SlotRequest]) -> list[SlotAnswer]:
        """Ask Redis; where it does not answer, go by the limits alone."""
        now = asyncio.get_running_loop().time()
        if now >= self._away_until:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return [answer(reply) for reply in await self._replies(asks)]
            except (RedisError, OSError, TimeoutError) as error:
                self._away_until = now + AWAY_SECONDS
                log.warning("pacing.no_redis", error=str(error) or type(error).__name__)
        return [self._gates[ask.provider].local.answer(ask) for ask in asks]

    async def _replies(self, asks: Sequence[SlotRequest]) -> list[Any]:
        if len(asks) == 1:
            [ask] = asks
            return [await self._script(keys(ask.provider), ask.arguments())]
        pipeline = self._redis.pipeline(transaction=False)
        for ask in asks:
            await self._script(keys(ask.provider), ask.arguments(), client=pipeline)
        return list(await pipeline.execute())
