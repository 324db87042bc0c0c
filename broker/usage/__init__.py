"""Usage: sums that grow as jobs are settled.

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
    UsageQuery,
    run_query,
)
from broker.usage.periods import Reset, ends_at, starts_at
from broker.usage.rollups import Consumer, Consumption, add
from broker.usage.sums import ActivityFilter, KeyUsage, key_usage, list_activity, sum_spent

__all__ = [
    "DIMENSIONS",
    "FILTERS",
    "GRANULARITIES",
    "LISTS",
    "METRICS",
    "ActivityFilter",
    "Condition",
    "Consumer",
    "Consumption",
    "KeyUsage",
    "Reset",
    "UsageQuery",
    "add",
    "ends_at",
    "key_usage",
    "list_activity",
    "run_query",
    "starts_at",
    "sum_spent",
]
