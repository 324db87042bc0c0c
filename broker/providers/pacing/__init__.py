"""Slots and rates of providers, shared by all processes.

Reading order: `limits` (as configured, and as learned from 429s), `shared` (the atomic script in
Redis, load and pauses), `gate` (one provider's queue in one process, with bounds of its own when
Redis is away), `pacer` (one request for all gates).
"""

from broker.providers.pacing.gate import Permit
from broker.providers.pacing.limits import Busy, Cause, ProviderLimits, Throttles
from broker.providers.pacing.pacer import Pacer
from broker.providers.pacing.shared import NO_LOAD, Load, exchange_pauses, read_loads, room

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
    "read_loads",
    "room",
]
