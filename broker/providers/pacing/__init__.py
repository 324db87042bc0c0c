"""Who may call a provider now: slots and rates shared by all processes, and limits learned.

Reading order: `limits` (what is configured, and what "not now" says), `script` (the one atomic step
in Redis that answers "may I?"), `gate` (one provider's queue in one process), `local` (bounds when
Redis is away), `pacer` (asks for all gates at once), `throttle` (what 429s and headers teach),
`pauses` (told to the other processes), `placing` (stay and wait, or the next endpoint of the plan),
`load` (how full providers are, for the dispatcher).
"""

from broker.providers.pacing.gate import Permit
from broker.providers.pacing.limits import Busy, Cause, Limits
from broker.providers.pacing.load import NO_LOAD, Load, read_loads, room
from broker.providers.pacing.pacer import Pacer
from broker.providers.pacing.pauses import exchange as exchange_pauses
from broker.providers.pacing.throttle import Throttles

__all__ = [
    "NO_LOAD",
    "Busy",
    "Cause",
    "Limits",
    "Load",
    "Pacer",
    "Permit",
    "Throttles",
    "exchange_pauses",
    "read_loads",
    "room",
]
