"""Decide when a delivery is tried again. Pure.

Source: Standard Webhooks 1.0.0, "Deliverability and reliability": its example schedule (ten
attempts in about 75 hours), only 2xx is success, a redirect is a failure, 410 ends it, Retry-After
is a minimum. An endpoint is disabled after five days with only failures, as Svix does.
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
"""Seconds before each attempt: from the event, then from the end of the previous attempt."""

MAX_JITTER = 0.1  # the largest random addition to a delay, as a share of it
MAX_WAIT = 24 * _HOUR  # also if a Retry-After is longer
DISABLE_AFTER_MS = 5 * 24 * _HOUR * 1000
GONE = 410


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver accepted the delivery."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The delivery is tried again, not before `at` (Unix milliseconds)."""

    at: int


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The delivery is not retried automatically; with `gone` its endpoint is disabled."""

    gone: bool = False


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A shutdown stopped the attempt. It does not count, and another worker repeats it."""


DeliveryDecision: TypeAlias = Delivered | RetryAt | Exhausted | Interrupted


def decide(
    status: int | None, *, failures: int, now: int, jitter: float, retry_after: float | None = None
) -> DeliveryDecision:
    """Return the decision after an attempt with this HTTP status; None means no answer.

    `failures` is the number of earlier failures in this schedule; `jitter` is random, 0 to 1.
    """
    if status is not None and 200 <= status < 300:  # noqa: PLR2004  # HTTP's "successful"
        return Delivered()
    if status == GONE:
        return Exhausted(gone=True)
    if failures + 1 >= len(DELAYS):
        return Exhausted()
    requested = min(max(retry_after or 0.0, 0.0), MAX_WAIT)
    wait = max(DELAYS[failures + 1], requested) * (1 + MAX_JITTER * jitter)
    return RetryAt(now + int(wait * 1000))


def has_failed_too_long(failing_since: int | None, now: int) -> bool:
    """Return whether an endpoint has failed for so long that it must be disabled."""
    return failing_since is not None and now - failing_since >= DISABLE_AFTER_MS
