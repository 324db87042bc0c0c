"""What a provider takes, and what "not now" says. Pure."""

from dataclasses import dataclass
from enum import StrEnum

RESERVED_SHARE = 10  # one slot in ten is kept for interactive jobs
RESERVED_RATE_SHARE = 20  # and one call in twenty of a minute
SPARE_SHARE = 25
MOST_SPARE = 64
SMALL = 4  # fewer slots than this are not divided


@dataclass(frozen=True, slots=True)
class Limits:
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
        """How evenly batch jobs are spread over the minute; 0 = as they come."""
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
    PROVIDER_PAUSE = "provider_pause"  # it answered 429, or said that nothing is left
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
