"""A provider's limits, the causes of waiting, and pauses by 429s and rate-limit headers. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from broker.providers.endpoint_stats import EndpointKey, Pause, PauseReason

RESERVED_SHARE = 10  # one slot in ten is kept for interactive jobs
RESERVED_RATE_SHARE = 20  # and one call in twenty of a minute
SPARE_SHARE = 25
MAX_SPARE_SLOTS = 64
MIN_DIVISIBLE_SLOTS = 4  # fewer slots than this are not divided


@dataclass(frozen=True, slots=True)
class ProviderLimits:
    """A provider's limits in the whole installation; 0 = no limit for the two rates."""

    max_concurrency: int = 200
    requests_per_minute: int = 0
    tokens_per_minute: int = 0

    @property
    def reserved_slots(self) -> int:
        """The slots that batch jobs leave free for interactive jobs."""
        if self.max_concurrency < MIN_DIVISIBLE_SLOTS:
            return 0
        return -(-self.max_concurrency // RESERVED_SHARE)

    @property
    def reserved_calls(self) -> int:
        """The calls in a minute that batch jobs leave to interactive jobs."""
        return self.requests_per_minute // RESERVED_RATE_SHARE

    @property
    def batch_calls_a_second(self) -> int:
        """Return the batch calls that may start in a second; 0 means no limit."""
        return -(-self.requests_per_minute // 60)

    @property
    def spare_slots(self) -> int:
        """The slots that a process may reserve in advance; none where a rate is limited."""
        if self.requests_per_minute or self.tokens_per_minute:
            return 0
        return min(self.max_concurrency // SPARE_SHARE, MAX_SPARE_SLOTS)


class Cause(StrEnum):
    """The cause for which a job waits."""

    CONCURRENCY = "concurrency"  # all slots of the provider are taken
    RATE_LIMIT = "rate_limit"  # its configured requests or tokens per minute are used up
    PROVIDER_PAUSE = "provider_pause"  # it answered 429, or reported that its limit is used up
    INTERACTIVE_FIRST = "interactive_first"  # a batch job behind interactive ones
    PAUSED = "paused_by_operator"  # `waybill providers pause`
    NOT_CONFIGURED = "not_configured"  # the provider, or its key, was removed from the settings


@dataclass(frozen=True, slots=True)
class Busy:
    """A call that cannot start now; `until` (Unix ms) is the time to try again."""

    provider: str
    cause: Cause
    until: int
    model: str | None = None  # set when only this model of the provider is busy


FIRST_PAUSE_MS = 500
LONGEST_PAUSE_MS = 300_000
"""The longest pause: a provider that requests hours gets one call after five minutes."""
LONGEST_GUESS_MS = 5_000
"""The longest pause that repeated 429s make when the provider states a shorter one."""
RETRY_MS = 250  # until the next check, while one call tests the endpoint
RECOVERY_MS = 60_000  # without a 429 for this long, the endpoint has no cap again


@dataclass(slots=True)
class Throttle:
    """The pause and the cap of one endpoint that answered 429 recently."""

    until: int = 0  # Unix ms: no call before this
    cap: float = 1.0  # the most calls in flight from this process
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
    """The throttled endpoints as this process knows them."""

    in_flight: Counter[EndpointKey] = field(default_factory=Counter)
    _known: dict[EndpointKey, Throttle] = field(default_factory=dict)
    _new_pauses: dict[EndpointKey, Pause] = field(default_factory=dict)

    def free_at(self, endpoint: EndpointKey, now: int) -> int:
        """Return when this endpoint may be called: now, or later (Unix ms)."""
        throttle = self._known.get(endpoint)
        return now if throttle is None else throttle.free_at(self.in_flight[endpoint], now)

    def find_busy(self, now: int) -> dict[EndpointKey, int]:
        """Return the endpoints that may not be called now, with the end (Unix ms) of the wait."""
        moments = {endpoint: self.free_at(endpoint, now) for endpoint in list(self._known)}
        return {endpoint: until for endpoint, until in moments.items() if until > now}

    def record_start(self, endpoint: EndpointKey) -> None:
        self.in_flight[endpoint] += 1

    def record_end(self, endpoint: EndpointKey) -> None:
        self.in_flight[endpoint] -= 1
        if not self.in_flight[endpoint]:
            del self.in_flight[endpoint]

    def record_success(self, endpoint: EndpointKey, now: int) -> None:
        throttle = self._known.get(endpoint)
        if throttle is None:
            return
        throttle.strikes = 0
        throttle.cap += 1 / max(throttle.cap, 1.0)
        if now >= max(throttle.struck_at + RECOVERY_MS, throttle.until):
            del self._known[endpoint]

    def record_rate_limit(self, endpoint: EndpointKey, retry_after: float | None, now: int) -> int:
        """Pause the endpoint after a 429; return the end of the pause (Unix ms)."""
        throttle = self._known.setdefault(endpoint, Throttle(cap=self.in_flight[endpoint] or 1))
        requested_ms = min(int((retry_after or 0) * 1000), LONGEST_PAUSE_MS)
        if now < throttle.until:  # an answer to a call that began before the pause
            self._pause(endpoint, Pause(now + requested_ms))
            return throttle.until
        throttle.cap = max(throttle.cap / 2, 1.0)
        throttle.strikes += 1
        throttle.struck_at = now
        longest = LONGEST_GUESS_MS if requested_ms else LONGEST_PAUSE_MS
        doubled = min(FIRST_PAUSE_MS * 2 ** min(throttle.strikes - 1, 16), longest)
        self._pause(endpoint, Pause(now + max(requested_ms, doubled)))
        return throttle.until

    def add_pause(self, endpoint: EndpointKey, reset: float, now: int, reason: PauseReason) -> None:
        """Pause the endpoint for `reset` seconds, as an answer requests it."""
        cap = self.in_flight[endpoint] or 1
        self._known.setdefault(endpoint, Throttle(cap=cap, struck_at=now))
        self._pause(endpoint, Pause(now + min(int(reset * 1000), LONGEST_PAUSE_MS), reason))

    def merge_pauses(self, pauses: Iterable[tuple[EndpointKey, Pause]], now: int) -> None:
        """Add the pauses that other processes published."""
        for endpoint, pause in pauses:
            if pause.until > now:
                throttle = self._known.setdefault(endpoint, Throttle(strikes=1, struck_at=now))
                throttle.until = max(throttle.until, pause.until)

    def take_new_pauses(self) -> dict[EndpointKey, Pause]:
        """Return and clear the pauses that this process found since the last call."""
        pauses, self._new_pauses = self._new_pauses, {}
        return pauses

    def _pause(self, endpoint: EndpointKey, pause: Pause) -> None:
        throttle = self._known[endpoint]
        if pause.until > throttle.until:
            throttle.until = pause.until
            self._new_pauses[endpoint] = pause
