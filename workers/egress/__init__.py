"""Guard for requests to addresses that callers choose: media to fetch and webhooks.

A caller's URL may name our own network or a cloud's metadata service. So only global addresses are
reachable, unless the operator lists a network (`WAYBILL_ALLOWED_NETWORKS`).
"""

from broker.security.egress import Network, Policy, RefusedError, Target, is_allowed, parse
from workers.egress.bounds import Bounds, TooLargeError
from workers.egress.transport import create_guarded_client

__all__ = (
    "Bounds",
    "Network",
    "Policy",
    "RefusedError",
    "Target",
    "TooLargeError",
    "create_guarded_client",
    "is_allowed",
    "parse",
)
