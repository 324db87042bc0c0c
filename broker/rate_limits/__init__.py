"""Rate limits and limits on open jobs: of keys, workspaces and free models.

`rules` (a limit, and its refusal), `limiter` (counts in Redis, or in this process without it),
`job_limits` (the limits of a job, also of one that was scheduled for later).
"""

from broker.rate_limits.job_limits import (
    ScheduledJob,
    find_due_jobs,
    find_over_limit,
    free_limits,
    free_per_day,
    limits_of,
    postpone,
)
from broker.rate_limits.limiter import Limiter, connect
from broker.rate_limits.rules import LimitKind, RateLimit, RateLimitRefusal, error_of

__all__ = [
    "LimitKind",
    "Limiter",
    "RateLimit",
    "RateLimitRefusal",
    "ScheduledJob",
    "connect",
    "error_of",
    "find_due_jobs",
    "find_over_limit",
    "free_limits",
    "free_per_day",
    "limits_of",
    "postpone",
]
