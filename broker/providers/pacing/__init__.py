"""Slots and rates of providers, shared by all processes.

Reading order: `limits` (configured limits, and pauses after 429s), `shared` (the atomic script in
Redis, load and pauses), `gate` (the waiters of one provider in one process, and its limits without
Redis), `pacer` (one request for all gates).
"""

from broker.providers.pacing.gate import Permit
from broker.providers.pacing.limits import Busy, Cause, ProviderLimits, Throttles
from broker.providers.pacing.pacer import Pacer
from broker.providers.pacing.shared import NO_LOAD, Load, exchange_pauses, find_room, read_loads

__all__ = [
    "NO_LOAD",
    "Busy",
    "Cause",
    "Load",
    "Pacer",
    "Permit",
    "ProviderLimits",
    "Throttles",
    "exchange_pauses",
    "find_room",
    "read_loads",
]
