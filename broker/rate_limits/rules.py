"""Limits on requests, and the result of a check. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from broker.completion import Json
from broker.errors import RateLimitedError

MINUTE_MS = 60_000
DAY_MS = 86_400_000


class LimitKind(StrEnum):
    RATE = "rate"  # at most so many in any window that ends now
    DAY = "day"  # at most so many on one UTC day
    OPEN = "open"  # at most so many at a time


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `most` of what `name` counts. Every process gives the same thing the same name."""

    kind: LimitKind
    name: str
    most: int
    source: str  # where the limit is set, for messages

    @property
    def window_ms(self) -> int:
        return MINUTE_MS if self.kind is LimitKind.RATE else DAY_MS


@dataclass(frozen=True, slots=True)
class RateLimitRefusal:
    """The limit that is reached, and when it lets the next one in (None: when one ends)."""

    limit: RateLimit
    resets_at: int | None  # Unix milliseconds


RETRY_OPEN_SECONDS = 1


def error_of(refusal: RateLimitRefusal, now: int, *, at_once: int = 1) -> RateLimitedError:
    """Return a refusal as the caller sees it: OpenRouter's headers (its docs, "Limits").

    `at_once` is the number of jobs in one request.
    """
    limit, resets_at = refusal.limit, refusal.resets_at
    wait = RETRY_OPEN_SECONDS
    if resets_at is not None:  # clocks differ by a little: never more than the window
        wait = min(max(1, -(-(resets_at - now) // 1000)), limit.window_ms // 1000)
    what = {
        LimitKind.RATE: f"{limit.most} requests per minute",
        LimitKind.DAY: f"{limit.most} requests per day (UTC)",
        LimitKind.OPEN: f"{limit.most} jobs at a time",
    }[limit.kind]
    headers = {
        "X-RateLimit-Limit": str(limit.most),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(resets_at if resets_at is not None else now + wait * 1000),
    }
    metadata: Json = {"limit_source": limit.source, "headers": headers, "retry_after": wait}
    remedy = f"Try again in {wait} s."
    if at_once > limit.most:
        remedy = f"These are {at_once}: ask for fewer at once, or as a batch."
    error = RateLimitedError(
        f"Rate limit exceeded: {limit.source} allows {what}. {remedy}", metadata=metadata
    )
    error.headers = {"Retry-After": str(wait), **headers}
    return error


def day_of(now: int) -> int:
    """Return the number of the UTC day."""
    return now // DAY_MS


def next_day(now: int) -> int:
    return (day_of(now) + 1) * DAY_MS


def key_of(limit: RateLimit, now: int) -> str:
    """Return the name under which a limit's takers are kept."""
    day = f":{day_of(now)}" if limit.kind is LimitKind.DAY else ""
    return f"waybill:limit:{limit.kind.value}:{limit.name}{day}"
