"""A provider's limits, reasons to wait, and what 429s and rate-limit headers teach. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from broker.providers.endpoint_stats import EndpointKey, Pause, PauseReason

RESERVED_SHARE = 10  # one slot in ten is kept for interactive jobs
RESERVED_RATE_SHARE = 20  # and one call in twenty of a minute
SPARE_SHARE = 25
MOST_SPARE = 64
SMALL = 4  # fewer slots than this are not divided


@dataclass(frozen=True, slots=True)
class ProviderLimits:
    """A provider's limits in the whole installation; 0 = no limit for the two rates."""

    max_concurrency: int = 200
    requests_per_minute: int = 0
    tokens_per_minute: int = 0

    @property
    def reserved_slots(self) -> int:
        """Slots that batch jobs leave free, so that an interactive one never waits for them."""
        if self.max_concurrency < SMALL:
            return 0
        return -(-self.max_concurrency // RESERVED_SHARE)

    @property
    def reserved_calls(self) -> int:
        """Calls of a minute that batch jobs leave to interactive ones."""
        return self.requests_per_minute // RESERVED_RATE_SHARE

    @property
    def batch_calls_a_second(self) -> int:
        """Return the batch calls that may start in a second; 0 means no limit."""
        return -(-self.requests_per_minute // 60)

    @property
    def spare_slots(self) -> int:
        """Slots that a process may have ready: few of many, and none where each call counts."""
        if self.requests_per_minute or self.tokens_per_minute:
            return 0
        return min(self.max_concurrency // SPARE_SHARE, MOST_SPARE)


class Cause(StrEnum):
    """Why a job waits."""

    CONCURRENCY = "concurrency"  # all slots of the provider are taken
    RATE_LIMIT = "rate_limit"  # its configured requests or tokens per minute are used up
    PROVIDER_PAUSE = "provider_pause"  # it answered 429, or stated that nothing is left
    INTERACTIVE_FIRST = "interactive_first"  # a batch job behind interactive ones
    PAUSED = "paused_by_operator"  # `waybill providers pause`
    NOT_CONFIGURED = "not_configured"  # the provider, or its key, was taken out of the settings


@dataclass(frozen=True, slots=True)
class Busy:
    """Not now: look again at `until` (Unix ms)."""

    provider: str
    cause: Cause
    until: int
    model: str | None = None  # where only this model of the provider is meant


FIRST_PAUSE_MS = 500
LONGEST_PAUSE_MS = 300_000
"""A provider that asks for hours gets one call after five minutes."""
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
