"""When a delivery is tried, and what follows an attempt. Pure.

Source: Standard Webhooks 1.0.0, "Deliverability and reliability": its example schedule (ten
attempts in about 75 hours), 2xx alone is success, a redirect is a failure, 410 ends it, Retry-After
is a minimum. An endpoint is given up after five days of nothing but failures, as Svix does.
"""

from dataclasses import dataclass
from typing import TypeAlias

_MINUTE, _HOUR = 60, 3600
DELAYS = (
    0,
    5,
    5 * _MINUTE,
    30 * _MINUTE,
    *(hours * _HOUR for hours in (2, 5, 10, 14, 20, 24)),
)
"""Seconds before each attempt: from the event, then from the end of the attempt before."""

JITTER = 0.1  # a delay is up to this part longer, so that what failed together comes back apart
LONGEST_WAIT = 24 * _HOUR  # also if a Retry-After is longer
GIVE_UP_MS = 5 * 24 * _HOUR * 1000
GONE = 410


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """It is tried again, not before this moment (Unix milliseconds)."""

    at: int


@dataclass(frozen=True, slots=True)
class Exhausted:
    """It is not tried again by itself; `gone`: nor is anything else sent to its endpoint."""

    gone: bool = False


@dataclass(frozen=True, slots=True)
class HandedBack:
    """Our shutdown stopped the attempt: it counts as none, and the next worker takes over."""


Following: TypeAlias = Delivered | RetryAt | Exhausted | HandedBack


def follow(
    status: int | None, *, failures: int, now: int, chance: float, retry_after: float | None = None
) -> Following:
    """Return what follows an attempt that was answered with `status`, or not at all (None).

    `failures` happened before in this run through the schedule; `chance` (0 to 1) is its jitter.
    """
    if status is not None and 200 <= status < 300:  # noqa: PLR2004  # HTTP's "successful"
        return Delivered()
    if status == GONE:
        return Exhausted(gone=True)
    if failures + 1 >= len(DELAYS):
        return Exhausted()
    asked = min(max(retry_after or 0.0, 0.0), LONGEST_WAIT)
    wait = max(DELAYS[failures + 1], asked) * (1 + JITTER * chance)
    return RetryAt(now + int(wait * 1000))


def is_given_up(failing_since: int | None, now: int) -> bool:
    """Return whether an endpoint has failed for so long that it is disabled."""
    return failing_since is not None and now - failing_since >= GIVE_UP_MS
