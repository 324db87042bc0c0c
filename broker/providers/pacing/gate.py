"""The slots of one provider in one process: calls in flight, waiting jobs, local limits."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from broker.providers.pacing.limits import Busy, Cause, ProviderLimits
from broker.providers.pacing.shared import LaneGrant, SlotAnswer, SlotRequest
from broker.queues import Lane


class LocalBounds:
    """Grants calls within a provider's limits, as if this process were the only one.

    Rates are limited by a bucket of one second, because the calls of the last minute are unknown.
    """

    def __init__(self, limits: ProviderLimits) -> None:
        self._limits = limits
        self._calls = _Bucket(limits.requests_per_minute)
        self._tokens = _Bucket(limits.tokens_per_minute)

    def grant(self, request: SlotRequest) -> SlotAnswer:
        free = max(self._limits.max_concurrency - request.held, 0)
        interactive = self._grant(request.interactive, free, request.tokens_a_call)
        is_short = interactive.granted < request.interactive
        left = 0 if is_short else max(free - interactive.granted - self._limits.reserved_slots, 0)
        batch = self._grant(request.batch, left, request.tokens_a_call)
        return SlotAnswer(interactive, batch, free - interactive.granted - batch.granted)

    def _grant(self, requested: int, free: int, tokens: int) -> LaneGrant:
        granted = min(requested, free, self._calls.left(1), self._tokens.left(tokens))
        self._calls.take(granted)
        self._tokens.take(granted * tokens)
        if granted == requested:
            return LaneGrant(granted)
        cause = Cause.CONCURRENCY if granted == free else Cause.RATE_LIMIT
        return LaneGrant(granted, cause, 0 if cause is Cause.CONCURRENCY else 100)


class _Bucket:
    """A token bucket for one second, at least one unit; 0 per minute means no limit."""

    def __init__(self, per_minute: int) -> None:
        self._rate = per_minute / 60
        self._capacity = max(self._rate, 1.0)
        self._level = self._capacity
        self._updated_at = time.monotonic()

    def left(self, size: int) -> int:
        if not self._rate:
            return 1_000_000
        now = time.monotonic()
        self._level = min(self._level + (now - self._updated_at) * self._rate, self._capacity)
        self._updated_at = now
        whole = int(self._level / size)
        return whole or int(self._level >= self._capacity)  # a larger call takes the whole bucket

    def take(self, amount: int) -> None:
        self._level -= amount


MAX_WAIT_SECONDS = 0.5
"""A job that waits longer returns to the database, which keeps fairness and deadlines."""

MIN_WAIT_MS = 100
MAX_QUEUE_WAIT_MS = 5_000  # added for the waiters before it, at most
MEAN_WEIGHT = 0.1  # the weight of the newest call in the running means
SCARCITY_FACTOR = 4  # below a quarter of free slots, releases are reported at once
RENEW_SECONDS = 2.0
RELEASE_REPORT_SECONDS = 1.0


@dataclass(slots=True)
class Permit:
    """The permission for one call. `Pacer.release` returns it."""

    provider: str
    lane: Lane
    since: float  # by the loop's clock
    tokens: int  # counted against the provider's minute so far
    is_measured: bool = False  # `tokens` is more than an estimate


@dataclass(slots=True)
class Waiter:
    future: "asyncio.Future[Permit | Busy]"
    since: float


@dataclass(slots=True)
class Gate:
    """Admits waiters in their order, those of interactive jobs first."""

    provider: str
    limits: ProviderLimits
    local: LocalBounds
    held: int = 0
    spare: int = 0  # slots reserved by this process without a call
    used_spare: bool = False
    spent: int = 0  # tokens beyond the expected ones, not reported yet
    call_ms: float = 1_000
    call_tokens: float = 1_000
    lanes: dict[Lane, deque[Waiter]] = field(
        default_factory=lambda: {lane: deque() for lane in Lane}
    )
    denials: dict[Lane, Busy] = field(default_factory=dict)  # the latest denials
    blocked: dict[Lane, Busy] = field(default_factory=dict)  # denials that outlast MAX_WAIT_SECONDS
    reported_held: int = 0
    reported_at: float = 0.0
    is_scarce: bool = False
    is_truncated: bool = False  # this process may not start all that wait

    @property
    def has_waiters(self) -> bool:
        return any(self.lanes.values())

    def wait(self, lane: Lane, waiter: Waiter) -> None:
        self.lanes[lane].append(waiter)

    def needs_request(self, now: float) -> bool:
        """Return whether a request to Redis is due."""
        if self.has_waiters:
            return True
        if self.held + self.spare == self.reported_held:
            return (
                bool(self.reported_held or self.spent) and now - self.reported_at >= RENEW_SECONDS
            )
        return self.is_scarce or now - self.reported_at >= RELEASE_REPORT_SECONDS

    def take_spare(self, now: float) -> Permit | None:
        """Return a permit for an interactive call from a spare slot; None without one."""
        if not self.spare or self.has_waiters:
            return None
        self.spare -= 1
        self.held += 1
        self.used_spare = True
        return Permit(self.provider, Lane.INTERACTIVE, now, 0)

    def build_request(self, process: str, limit: int) -> SlotRequest:
        """Build the request for the waiting jobs, for `limit` calls at most."""
        for waiters in self.lanes.values():
            while waiters and waiters[0].future.done():  # its caller no longer waits
                waiters.popleft()
        interactive = min(len(self.lanes[Lane.INTERACTIVE]), limit)
        self.is_truncated = sum(len(waiters) for waiters in self.lanes.values()) > limit
        return SlotRequest(
            provider=self.provider,
            limits=self.limits,
            process=process,
            held=self.held,
            interactive=interactive,
            batch=min(len(self.lanes[Lane.BATCH]), limit - interactive),
            tokens_a_call=max(int(self.call_tokens), 1),
            tokens_spent=self.spent,
            call_ms=max(int(self.call_ms), 1),
            spare=self._take_spare_request(),
        )

    def _take_spare_request(self) -> int:
        """Return the spare slots to request, none if they are unused; drop the current ones."""
        requested = self.limits.spare_slots if self.used_spare or self.has_waiters else 0
        self.spare, self.used_spare = 0, False
        return requested

    def apply_answer(
        self, request: SlotRequest, answer: SlotAnswer, now: float, now_ms: int
    ) -> None:
        """Admit the granted waiters; deny those that would wait too long."""
        self.spent -= request.tokens_spent
        granted = answer.interactive.granted + answer.batch.granted
        self.spare = answer.spare
        self.reported_held, self.reported_at = request.held + granted + answer.spare, now
        self.is_scarce = answer.free * SCARCITY_FACTOR < self.limits.max_concurrency
        for lane, grant in ((Lane.INTERACTIVE, answer.interactive), (Lane.BATCH, answer.batch)):
            self._admit(lane, grant.granted, request.tokens_a_call, now)
            cause = grant.cause or (Cause.CONCURRENCY if self.is_truncated else None)
            if cause is not None:
                self._deny(lane, cause, grant.wait_ms, now, now_ms)

    def release(self, permit: Permit, now: float) -> None:
        self.held -= 1
        if self.limits.spare_slots > self.spare and not self.is_scarce:
            self.spare += 1
        self.call_ms += MEAN_WEIGHT * ((now - permit.since) * 1000 - self.call_ms)
        if permit.is_measured:
            self.call_tokens += MEAN_WEIGHT * (permit.tokens - self.call_tokens)

    def recount(self, permit: Permit, tokens: int) -> None:
        """Count a call with the tokens that it uses, as far as they are known now."""
        if self.limits.tokens_per_minute:
            self.spent += tokens - permit.tokens
            permit.tokens = tokens
            permit.is_measured = True

    def find_block(self, lane: Lane, now_ms: int) -> Busy | None:
        busy = self.blocked.get(lane)
        if busy is not None and busy.until <= now_ms:
            del self.blocked[lane]
            return None
        return busy

    def _admit(self, lane: Lane, count: int, tokens: int, now: float) -> None:
        waiters = self.lanes[lane]
        while count and waiters:
            waiter = waiters.popleft()
            if waiter.future.done():
                continue
            count -= 1
            self.held += 1
            waiter.future.set_result(Permit(self.provider, lane, now, tokens))

    def _deny(self, lane: Lane, cause: Cause, first_ms: int, now: float, now_ms: int) -> None:
        """Deny the waiters whose turn is too late: the first in `first_ms`, the others after it."""
        remaining: deque[Waiter] = deque()
        for position, waiter in enumerate(self.lanes[lane]):
            wait = first_ms + min(position * self._compute_spacing(cause), MAX_QUEUE_WAIT_MS)
            if now - waiter.since + wait / 1000 <= MAX_WAIT_SECONDS:
                remaining.append(waiter)
            elif not waiter.future.done():
                busy = Busy(self.provider, cause, now_ms + max(int(wait), MIN_WAIT_MS))
                self.denials[lane] = busy
                waiter.future.set_result(busy)
        self.lanes[lane] = remaining
        if first_ms > MAX_WAIT_SECONDS * 1000:
            self.blocked[lane] = Busy(self.provider, cause, now_ms + first_ms)

    def _compute_spacing(self, cause: Cause) -> float:
        """Return the milliseconds between two admitted calls."""
        if cause is Cause.RATE_LIMIT and self.limits.requests_per_minute:
            return 60_000 / self.limits.requests_per_minute
        return self.call_ms / self.limits.max_concurrency
