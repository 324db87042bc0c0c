"""Which URLs of callers may be requested at all: rules over their text and addresses. Pure.

The API asks as a URL is handed in, and the guard in `workers/egress/` at every request.
"""

from broker.security.egress.addresses import Address, Network, is_allowed
from broker.security.egress.urls import Policy, RefusedError, Target, parse

__all__ = ("Address", "Network", "Policy", "RefusedError", "Target", "is_allowed", "parse")
