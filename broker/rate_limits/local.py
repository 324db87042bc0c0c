"""The same limits kept in this process, for while Redis does not answer.

So a caller gets at most their limit from each API process meanwhile, what this process let in
before included; what others let in is not known here.
"""

from collections.abc import Sequence

from broker.rate_limits.rules import Limit, LimitKind, Refusal, key_of
from broker.rate_limits.shared import refusal_of

MAX_NAMES = 10_000


class LocalLimits:
    """Takes from limits of this process alone."""

    def __init__(self) -> None:
        self._taken: dict[str, dict[str, int]] = {}  # limit → member → when

    async def take(self, limits: Sequence[Limit], member: str, now: int) -> Refusal | None:
        """Count `member` against all of `limits`, or against none and say which is reached."""
        for limit in limits:
            taken = self._current(limit, now)
            if len(taken) >= limit.most and member not in taken:
                return refusal_of(limit, min(taken.values(), default=0), now)
        self.note(limits, member, now)
        return None

    def note(self, limits: Sequence[Limit], member: str, now: int) -> None:
        """Count what was let in, here or by Redis."""
        if len(self._taken) > MAX_NAMES:
            self._taken.clear()
        for limit in limits:
            taken = self._current(limit, now)
            while taken and len(taken) >= limit.most and member not in taken:
                del taken[next(iter(taken))]  # it has ended, as another process found out
            taken[member] = now
            self._taken[key_of(limit, now)] = taken

    async def give_back(self, limits: Sequence[Limit], member: str, now: int) -> None:
        for limit in limits:
            self._taken.get(key_of(limit, now), {}).pop(member, None)

    async def taken(self, limit: Limit, now: int) -> dict[str, int]:
        return dict(self._taken.get(key_of(limit, now), {}))

    async def count(self, limit: Limit, now: int) -> int:
        return len(self._taken.get(key_of(limit, now), {}))

    async def drop(self, limit: Limit, gone: Sequence[str], now: int) -> None:
        for member in gone:
            self._taken.get(key_of(limit, now), {}).pop(member, None)

    def _current(self, limit: Limit, now: int) -> dict[str, int]:
        taken = self._taken.get(key_of(limit, now), {})
        if limit.kind is LimitKind.RATE:
            return {each: at for each, at in taken.items() if at > now - limit.window_ms}
        return taken
