"""Counters of calls, which prove that a prompt was sent exactly n times."""

import time
from collections import Counter, deque
from typing import Any, Final

REMEMBERED_BYTES: Final = 128 * 1024 * 1024
REMEMBERED_SECONDS: Final = 3600


class Counters:
    """Counter of the calls of one simulator process."""

    def __init__(self, remembered_bytes: int = REMEMBERED_BYTES) -> None:
        self._limit = remembered_bytes
        self.reset()

    def reset(self) -> None:
        """Clear all counts except the calls in flight."""
        self.total = 0
        self.in_flight = getattr(self, "in_flight", 0)
        self.peak_in_flight = self.in_flight
        self.abandoned = 0  # the client went before it had its answer
        self.retrieved = 0  # readings of stored responses
        self.cancelled = 0  # cancellations of them
        self.by_model: Counter[str] = Counter()
        self._seconds: deque[list[int]] = deque(maxlen=REMEMBERED_SECONDS)
        self._bodies: dict[bytes, int] = {}
        self._held = 0
        self.dropped = 0  # calls whose bodies were dropped for newer ones

    def enter(self, model: str, body: bytes) -> int:
        """Count a call. Return the number of calls with this body so far."""
        self.total += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        self.by_model[model] += 1
        self._tick()
        return self._remember(body)

    def leave(self) -> None:
        self.in_flight -= 1

    def calls_containing(self, text: str) -> int:
        """Count the calls whose raw body contains `text`."""
        needle = text.encode()
        return sum(calls for body, calls in self._bodies.items() if needle in body)

    def report(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "abandoned": self.abandoned,
            "retrieved": self.retrieved,
            "cancelled": self.cancelled,
            "dropped": self.dropped,
            "distinct_bodies": len(self._bodies),
            "most_calls_of_one_body": max(self._bodies.values(), default=0),
            "by_model": dict(self.by_model),
            "per_second": list(self._seconds),
        }

    def _tick(self) -> None:
        second = int(time.time())
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += 1
        else:
            self._seconds.append([second, 1])

    def _remember(self, body: bytes) -> int:
        calls = self._bodies.get(body, 0) + 1
        self._bodies[body] = calls
        if calls == 1:
            self._held += len(body)
            while self._held > self._limit and len(self._bodies) > 1:
                oldest = next(iter(self._bodies))
                self.dropped += self._bodies.pop(oldest)
                self._held -= len(oldest)
        return calls
