"""Usage: added up as it is settled, and read from those sums.

`periods` (pure: when hours, days, weeks and months begin, in UTC), `rollups` (the only writer),
`sums` (spending in a window, usage by day), `analytics` (any question).
"""

from broker.usage.analytics import (
    DIMENSIONS,
    FILTERS,
    GRANULARITIES,
    LISTS,
    METRICS,
    Condition,
    Question,
    query,
)
from broker.usage.periods import Reset, ends_at, starts_at
from broker.usage.rollups import Consumer, Consumption, add
from broker.usage.sums import Activity, KeyUsage, activity, key_usage, spent

__all__ = [
    "DIMENSIONS",
    "FILTERS",
    "GRANULARITIES",
    "LISTS",
    "METRICS",
    "Activity",
    "Condition",
    "Consumer",
    "Consumption",
    "KeyUsage",
    "Question",
    "Reset",
    "activity",
    "add",
    "ends_at",
    "key_usage",
    "query",
    "spent",
    "starts_at",
]
