"""The health of endpoints: counted by workers, shared through Redis, read as a snapshot.

counts      pure: keys and fields of the counts in Redis, histograms
breaker     pure: the verdict on an attempt, and the circuit breaker
history     pure: from the counts of many spans to the stats of each endpoint
circuits    circuit breakers in Redis, changed by compare-and-set
recorder    counts the attempts of a worker and sends the counts together
observer    refreshes the snapshot of each process in the background

These data may be lost: without Redis the last snapshot stays in use.
"""

from broker.providers.health.breaker import Breaker, Verdict, judge_failure, refuses_credential
from broker.providers.health.observer import Observer
from broker.providers.health.recorder import Observation, Recorder

__all__ = [
    "Breaker",
    "Observation",
    "Observer",
    "Recorder",
    "Verdict",
    "judge_failure",
    "refuses_credential",
]
