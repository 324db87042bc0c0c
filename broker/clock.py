"""The one place that reads the time. All stored times are integers: Unix milliseconds, UTC."""

import time


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def seconds(ms: int | None) -> int | None:
    """Unix milliseconds as the Unix seconds that API objects show."""
    return None if ms is None else ms // 1000
