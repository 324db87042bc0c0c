"""One provider as one process sees it: calls in flight, jobs that wait, bounds without Redis."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from broker.providers.pacing.limits import Busy, Cause, ProviderLimits
from broker.providers.pacing.shared import LaneGrant, SlotAnswer, SlotRequest
from broker.queues import Lane


class LocalBounds:
    """Gives what a provider's limits allow, as if this process were the only one.

    Rates are kept by a bucket of one second: nobody knows what was sent before Redis went away.
    """

    def __init__(self, limits: ProviderLimits) -> None:
        self._limits = limits
        self._calls = _Bucket(limits.requests_per_minute)
        self._tokens = _Bucket(limits.tokens_per_minute)

    def answer(self, ask: SlotRequest) -> SlotAnswer:
        free = max(self._limits.max_concurrency - ask.held, 0)
        interactive = self._turn(ask.interactive, free, ask.tokens_a_call)
        behind = interactive.given < ask.interactive
        left = 0 if behind else max(free - interactive.given - self._limits.reserved_slots, 0)
        batch = self._turn(ask.batch, left, ask.tokens_a_call)
        return SlotAnswer(interactive, batch, free - interactive.given - batch.given)

    def _turn(self, wanted: int, free: int, tokens: int) -> LaneGrant:
        given = min(wanted, free, self._calls.left(1), self._tokens.left(tokens))
        self._calls.take(given)
        self._tokens.take(given * tokens)
        if given == wanted:
            return LaneGrant(given)
        cause = Cause.CONCURRENCY if given == free else Cause.RATE_LIMIT
        return LaneGrant(given, cause, 0 if cause is Cause.CONCURRENCY else 100)


class _Bucket:
    """Fills evenly, holds a second's worth and at least one unit; 0 a minute = no limit."""

    def __init__(self, per_minute: int) -> None:
        self._rate = per_minute / 60
        self._most = max(self._rate, 1.0)
        self._level = self._most
        self._at = time.monotonic()

    def left(self, size: int) -> int:
        if not self._rate:
            return 1_000_000
        now = time.monotonic()
        self._level = min(self._level + (now - self._at) * self._rate, self._most)
        self._at = now
        whole = int(self._level / size)
        return whole or int(self._level >= self._most)  # what is larger than a bucket takes it all

    def take(self, amount: int) -> None:
        self._level -= amount


PATIENCE_SECONDS = 0.5
"""A job that waits longer returns to the database, which keeps fairness and deadlines."""

LEAST_WAIT_MS = 100
LONGEST_PLACE_MS = 5_000  # added to a wait for those who stand in line before it
MEMORY = 0.1  # of the running means: the share of the newest call
TIGHT = 4  # below a quarter of its slots a provider's releases are told at once
RENEW_SECONDS = 2.0
FORGET_SECONDS = 1.0


@dataclass(slots=True)
class Permit:
    """One call that may be sent. It is given back with `Pacer.release`."""

    provider: str
    lane: Lane
    since: float  # of the loop's clock
    tokens: int  # counted against the provider's minute so far
    is_counted: bool = False  # they are more than a guess


@dataclass(slots=True)
class Waiter:
    future: "asyncio.Future[Permit | Busy]"
    since: float


@dataclass(slots=True)
class Gate:
    """Grants come in the order of asking, interactive jobs first."""

    provider: str
    limits: ProviderLimits
    local: LocalBounds
    held: int = 0
    spare: int = 0  # slots that are this process's, without a call
    used_spare: bool = False
    spent: int = 0  # tokens that differ from what was expected, not told yet
    call_ms: float = 1_000
    call_tokens: float = 1_000
    lanes: dict[Lane, deque[Waiter]] = field(
        default_factory=lambda: {lane: deque() for lane in Lane}
    )
    denied: dict[Lane, Busy] = field(default_factory=dict)  # the latest denials
    shut: dict[Lane, Busy] = field(default_factory=dict)  # those that outlast our patience
    told_held: int = 0
    told_at: float = 0.0
    is_tight: bool = False
    is_cut: bool = False  # this process itself had no room for all that waits

    @property
    def waits(self) -> bool:
        return any(self.lanes.values())

    def wait(self, lane: Lane, waiter: Waiter) -> None:
        self.lanes[lane].append(waiter)

    def speaks(self, now: float) -> bool:
        """Tell whether there is something to ask or to say."""
        if self.waits:
            return True
        if self.held + self.spare == self.told_held:
            return bool(self.told_held or self.spent) and now - self.told_at >= RENEW_SECONDS
        return self.is_tight or now - self.told_at >= FORGET_SECONDS

    def take_spare(self, now: float) -> Permit | None:
        """Begin an interactive call with a slot that is ready."""
        if not self.spare or self.waits:
            return None
        self.spare -= 1
        self.held += 1
        self.used_spare = True
        return Permit(self.provider, Lane.INTERACTIVE, now, 0)

    def ask(self, process: str, most: int) -> SlotRequest:
        """Put what waits into a question for `most` calls at most."""
        for line in self.lanes.values():
            while line and line[0].future.done():  # its caller has gone
                line.popleft()
        interactive = min(len(self.lanes[Lane.INTERACTIVE]), most)
        self.is_cut = sum(len(line) for line in self.lanes.values()) > most
        return SlotRequest(
            provider=self.provider,
            limits=self.limits,
            process=process,
            held=self.held,
            interactive=interactive,
            batch=min(len(self.lanes[Lane.BATCH]), most - interactive),
            tokens_a_call=max(int(self.call_tokens), 1),
            tokens_spent=self.spent,
            call_ms=max(int(self.call_ms), 1),
            spare=self._wanted_spare(),
        )

    def _wanted_spare(self) -> int:
        """Ask for spare slots while they are used; give those back that were had until now."""
        wanted = self.limits.spare_slots if self.used_spare or self.waits else 0
        self.spare, self.used_spare = 0, False
        return wanted

    def hear(self, asked: SlotRequest, answer: SlotAnswer, now: float, now_ms: int) -> None:
        """Let in whom the answer lets in; send back whom it keeps waiting too long."""
        self.spent -= asked.tokens_spent
        given = answer.interactive.given + answer.batch.given
        self.spare = answer.spare
        self.told_held, self.told_at = asked.held + given + answer.spare, now
        self.is_tight = answer.free * TIGHT < self.limits.max_concurrency
        for lane, turn in ((Lane.INTERACTIVE, answer.interactive), (Lane.BATCH, answer.batch)):
            self._admit(lane, turn.given, asked.tokens_a_call, now)
            cause = turn.cause or (Cause.CONCURRENCY if self.is_cut else None)
            if cause is not None:
                self._send_back(lane, cause, turn.wait_ms, now, now_ms)

    def release(self, permit: Permit, now: float) -> None:
        self.held -= 1
        if self.limits.spare_slots > self.spare and not self.is_tight:
            self.spare += 1
        self.call_ms += MEMORY * ((now - permit.since) * 1000 - self.call_ms)
        if permit.is_counted:
            self.call_tokens += MEMORY * (permit.tokens - self.call_tokens)

    def recount(self, permit: Permit, tokens: int) -> None:
        """Count a call with what it uses, as far as that is known now."""
        if self.limits.tokens_per_minute:
            self.spent += tokens - permit.tokens
            permit.tokens = tokens
            permit.is_counted = True

    def is_shut(self, lane: Lane, now_ms: int) -> Busy | None:
        busy = self.shut.get(lane)
        if busy is not None and busy.until <= now_ms:
            del self.shut[lane]
            return None
        return busy

    def _admit(self, lane: Lane, count: int, tokens: int, now: float) -> None:
        line = self.lanes[lane]
        while count and line:
            waiter = line.popleft()
            if waiter.future.done():
                continue
            count -= 1
            self.held += 1
            waiter.future.set_result(Permit(self.provider, lane, now, tokens))

    def _send_back(self, lane: Lane, cause: Cause, first_ms: int, now: float, now_ms: int) -> None:
        """Keep those who come in soon: the first in `first_ms`, the others one by one after it."""
        kept: deque[Waiter] = deque()
        for place, waiter in enumerate(self.lanes[lane]):
            wait = first_ms + min(place * self._spacing(cause), LONGEST_PLACE_MS)
            if now - waiter.since + wait / 1000 <= PATIENCE_SECONDS:
                kept.append(waiter)
            elif not waiter.future.done():
                busy = Busy(self.provider, cause, now_ms + max(int(wait), LEAST_WAIT_MS))
                self.denied[lane] = busy
                waiter.future.set_result(busy)
        self.lanes[lane] = kept
        if first_ms > PATIENCE_SECONDS * 1000:
            self.shut[lane] = Busy(self.provider, cause, now_ms + first_ms)

    def _spacing(self, cause: Cause) -> float:
        """Return how many milliseconds lie between two calls that are let in."""
        if cause is Cause.RATE_LIMIT and self.limits.requests_per_minute:
            return 60_000 / self.limits.requests_per_minute
        return self.call_ms / self.limits.max_concurrency
