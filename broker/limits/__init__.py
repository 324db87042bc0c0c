"""How often, and how many at a time: limits of keys, workspaces and free models.

`asked` says which limits a job counts against, `limiter` asks them: in Redis (`shared`, one script
for all of a request's), or in this process while Redis does not answer (`local`).
"""

from broker.limits.asked import free_limits, free_per_day, limits_of
from broker.limits.limiter import Limiter, connect
from broker.limits.rules import Limit, LimitKind, Refusal, error_of

__all__ = [
    "Limit",
    "LimitKind",
    "Limiter",
    "Refusal",
    "connect",
    "error_of",
    "free_limits",
    "free_per_day",
    "limits_of",
]
