"""Usage: sums to which the end of each job adds.

`periods` (the begin of hours, days, weeks and months in UTC), `rollups` (the only writer), `sums`
(spending in a period, usage by day), `analytics` (queries with metrics and dimensions), `rendering`
(the `usage` object of the API).
"""

from broker.enums import Reset
from broker.usage.analytics import (
    DIMENSIONS,
    FILTERS,
    GRANULARITIES,
    LISTS,
    METRICS,
    Condition,
    UsageQuery,
    UsageRow,
    run_query,
)
from broker.usage.periods import ends_at, starts_at
from broker.usage.rendering import render_usage
from broker.usage.rollups import Consumption, CountedJob, GenerationRow, add
from broker.usage.sums import (
    Activity,
    ActivityFilter,
    KeyUsage,
    key_usage,
    list_activity,
    sum_spent,
)

__all__ = [
    "DIMENSIONS",
    "FILTERS",
    "GRANULARITIES",
    "LISTS",
    "METRICS",
    "Activity",
    "ActivityFilter",
    "Condition",
    "Consumption",
    "CountedJob",
    "GenerationRow",
    "KeyUsage",
    "Reset",
    "UsageQuery",
    "UsageRow",
    "add",
    "ends_at",
    "key_usage",
    "list_activity",
    "render_usage",
    "run_query",
    "starts_at",
    "sum_spent",
]
