"""The health of endpoints: counted by callers, shared through Redis, read as a snapshot.

counts      pure: where counts are kept, and distributions in a few whole numbers
breaker     pure: what an attempt says about its endpoint; closed, open, half-open
history     pure: counts of many moments → one `endpoint_stats.Snapshot`
circuits    breakers in Redis: read, changed only as they were read
recorder    a worker's side: counts attempts, sent together and off the path of a job
observer    every process's side: the snapshot, refreshed in the background

Redis holds nothing here that cannot be lost: without it the last snapshot stays in use.
"""

from broker.providers.health.breaker import Breaker, Verdict, refuses_credential, verdict
from broker.providers.health.observer import Observer
from broker.providers.health.recorder import Recorder, Seen

__all__ = ["Breaker", "Observer", "Recorder", "Seen", "Verdict", "refuses_credential", "verdict"]
