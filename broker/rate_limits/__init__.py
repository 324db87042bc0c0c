"""How often, and how many at a time: limits of keys, workspaces and free models.

`asked` says which limits a job counts against, `limiter` asks them: in Redis (`shared`, one script
for all of a request's), or in this process while Redis does not answer (`local`). `coming` asks for
jobs that were scheduled for later.
"""

from broker.rate_limits.asked import free_limits, free_per_day, limits_of
from broker.rate_limits.coming import Coming, Postponed, coming, postpone_many, without_place
from broker.rate_limits.limiter import Limiter, connect
from broker.rate_limits.rules import Limit, LimitKind, Refusal, error_of

__all__ = [
    "Coming",
    "Limit",
    "LimitKind",
    "Limiter",
    "Postponed",
    "Refusal",
    "coming",
    "connect",
    "error_of",
    "free_limits",
    "free_per_day",
    "limits_of",
    "postpone_many",
    "without_place",
]
