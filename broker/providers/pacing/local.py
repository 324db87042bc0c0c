"""Bounds of one process by itself, for as long as Redis does not answer."""

import time

from broker.providers.pacing.limits import Cause, Limits
from broker.providers.pacing.script import Answer, Ask, Turn


class LocalBounds:
    """Gives what a provider's limits allow, as if this process were the only one.

    Rates are kept by a bucket of one second: nobody knows what was sent before Redis went away.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._calls = _Bucket(limits.requests_per_minute)
        self._tokens = _Bucket(limits.tokens_per_minute)

    def answer(self, ask: Ask) -> Answer:
        free = max(self._limits.max_concurrency - ask.held, 0)
        interactive = self._turn(ask.interactive, free, ask.tokens_a_call)
        behind = interactive.given < ask.interactive
        left = 0 if behind else max(free - interactive.given - self._limits.reserved_slots, 0)
        batch = self._turn(ask.batch, left, ask.tokens_a_call)
        return Answer(interactive, batch, free - interactive.given - batch.given)

    def _turn(self, wanted: int, free: int, tokens: int) -> Turn:
        given = min(wanted, free, self._calls.left(1), self._tokens.left(tokens))
        self._calls.take(given)
        self._tokens.take(given * tokens)
        if given == wanted:
            return Turn(given)
        cause = Cause.CONCURRENCY if given == free else Cause.RATE_LIMIT
        return Turn(given, cause, 0 if cause is Cause.CONCURRENCY else 100)


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
