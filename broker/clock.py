"""The only module that reads the time. All stored times are integers: Unix milliseconds, UTC."""

import time
from datetime import UTC, datetime


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def moment(ms: int) -> str:
    """Return Unix milliseconds as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat().replace("+00:00", "Z")


def seconds(ms: int | None) -> int | None:
    """Return Unix milliseconds as the Unix seconds that API objects show."""
    return None if ms is None else ms // 1000
