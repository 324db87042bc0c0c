"""What 429s and rate-limit headers teach one process about an endpoint. No clock, no network.

A 429 pauses the endpoint until the provider said it may be asked again, or for a time that doubles;
then one call tries, and only its success lets more follow: half of what was in flight before, one
more for each round of successes (additive increase, multiplicative decrease; RFC 5681 section 3.1).
A pause is one: a later answer never shortens it, and the echoes of a burst are no second strike.
What the provider states (`Retry-After`) wins over what is guessed.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from broker.providers.endpoint_stats import EndpointKey, Pause, PauseReason

FIRST_PAUSE_MS = 500
LONGEST_PAUSE_MS = 300_000
"""A provider that asks for hours is asked again after five minutes, by one call."""
LONGEST_GUESS_MS = 5_000
"""The most that repeated 429s add to a wait that the provider states."""
RETRY_MS = 250  # between looks, for what waits behind the one call that tries
QUIET_MS = 60_000  # after so long without a 429 the endpoint is an ordinary one again


@dataclass(slots=True)
class Throttle:
    """One endpoint that answered 429 lately."""

    until: int = 0  # Unix ms: nothing is sent before
    cap: float = 1.0  # calls in flight from this process
    strikes: int = 0  # pauses since the last success
    struck_at: int = 0

    def free_at(self, in_flight: int, now: int) -> int:
        """Return when a call may be sent: now, or later."""
        if now < self.until:
            return self.until
        allowed = 1 if self.strikes else max(int(self.cap), 1)
        return now if in_flight < allowed else now + RETRY_MS


@dataclass(slots=True)
class Throttles:
    """All endpoints as this process knows them; only the troubled ones take room."""

    in_flight: Counter[EndpointKey] = field(default_factory=Counter)
    _known: dict[EndpointKey, Throttle] = field(default_factory=dict)
    _news: dict[EndpointKey, Pause] = field(default_factory=dict)

    def free_at(self, endpoint: EndpointKey, now: int) -> int:
        """Return when this endpoint may be called: now, or later (Unix ms)."""
        throttle = self._known.get(endpoint)
        return now if throttle is None else throttle.free_at(self.in_flight[endpoint], now)

    def busy(self, now: int) -> dict[EndpointKey, int]:
        """Return the endpoints that may not be called now, with the moment when they may."""
        looks = {endpoint: self.free_at(endpoint, now) for endpoint in list(self._known)}
        return {endpoint: until for endpoint, until in looks.items() if until > now}

    def began(self, endpoint: EndpointKey) -> None:
        self.in_flight[endpoint] += 1

    def ended(self, endpoint: EndpointKey) -> None:
        self.in_flight[endpoint] -= 1
        if not self.in_flight[endpoint]:
            del self.in_flight[endpoint]

    def succeeded(self, endpoint: EndpointKey, now: int) -> None:
        throttle = self._known.get(endpoint)
        if throttle is None:
            return
        throttle.strikes = 0
        throttle.cap += 1 / max(throttle.cap, 1.0)
        if now >= max(throttle.struck_at + QUIET_MS, throttle.until):
            del self._known[endpoint]

    def limited(self, endpoint: EndpointKey, retry_after: float | None, now: int) -> int:
        """Learn of a 429; return until when the endpoint is paused."""
        throttle = self._known.setdefault(endpoint, Throttle(cap=self.in_flight[endpoint] or 1))
        asked = min(int((retry_after or 0) * 1000), LONGEST_PAUSE_MS)
        if now < throttle.until:  # an echo of what is known
            self._pause(endpoint, Pause(now + asked))
            return throttle.until
        throttle.cap = max(throttle.cap / 2, 1.0)
        throttle.strikes += 1
        throttle.struck_at = now
        most = LONGEST_GUESS_MS if asked else LONGEST_PAUSE_MS
        doubled = min(FIRST_PAUSE_MS * 2 ** min(throttle.strikes - 1, 16), most)
        self._pause(endpoint, Pause(now + max(asked, doubled)))
        return throttle.until

    def used_up(self, endpoint: EndpointKey, reset: float, now: int, reason: PauseReason) -> None:
        """Learn from an answer that the endpoint is not to be called for `reset` seconds."""
        cap = self.in_flight[endpoint] or 1
        self._known.setdefault(endpoint, Throttle(cap=cap, struck_at=now))
        self._pause(endpoint, Pause(now + min(int(reset * 1000), LONGEST_PAUSE_MS), reason))

    def heard(self, pauses: Iterable[tuple[EndpointKey, Pause]], now: int) -> None:
        """Learn of the pauses that other processes found out."""
        for endpoint, pause in pauses:
            if pause.until > now:
                throttle = self._known.setdefault(endpoint, Throttle(strikes=1, struck_at=now))
                throttle.until = max(throttle.until, pause.until)

    def news(self) -> dict[EndpointKey, Pause]:
        """Return the pauses found out here since the last time, for the other processes."""
        told, self._news = self._news, {}
        return told

    def _pause(self, endpoint: EndpointKey, pause: Pause) -> None:
        throttle = self._known[endpoint]
        if pause.until > throttle.until:
            throttle.until = pause.until
            self._news[endpoint] = pause
