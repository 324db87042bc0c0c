"""Begin and end of periods in UTC; weeks begin on Monday, as in OpenRouter's budgets. Pure."""

from datetime import UTC, datetime
from functools import lru_cache

from broker.enums import Reset

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def starts_at(reset: Reset, now: int) -> int:
    """Return when the current period began, in Unix milliseconds; 0 for a lifetime."""
    day = now - now % DAY_MS
    match reset:
        case Reset.DAILY:
            return day
        case Reset.WEEKLY:
            return day - datetime.fromtimestamp(now / 1000, UTC).weekday() * DAY_MS
        case Reset.MONTHLY:
            return month_of(day)
    return 0


def ends_at(reset: Reset, now: int) -> int | None:
    """Return when the next period begins; None for a lifetime."""
    start = starts_at(reset, now)
    match reset:
        case Reset.DAILY:
            return start + DAY_MS
        case Reset.WEEKLY:
            return start + 7 * DAY_MS
        case Reset.MONTHLY:
            return month_of(start + 31 * DAY_MS)
    return None


@lru_cache(maxsize=1024)
def month_of(day: int) -> int:
    """Return when the month of this day began."""
    moment = datetime.fromtimestamp(day / 1000, UTC)
    return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp()) * 1000


def rollup_periods(now: int) -> tuple[tuple[str, int], ...]:
    """Return the (period, start) pairs that something at `now` belongs to."""
    day = now - now % DAY_MS
    return ("hour", now - now % HOUR_MS), ("day", day), ("month", month_of(day))
