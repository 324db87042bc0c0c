"""How endpoints behave: counted by whoever calls them, shared through Redis, read as a snapshot.

verdicts    pure: what an attempt says about its endpoint
histogram   pure: distributions in a few whole numbers
buckets     pure: where counts are kept, and for how long
breaker     pure: closed, open, half-open
history     pure: counts of many moments → one `evidence.Snapshot`
circuits    breakers in Redis: read, changed only as they were read
recorder    a worker's side: counts what it saw, sent together and off the path of a job
observer    everybody's side: the snapshot, refreshed in the background

Redis holds nothing here that cannot be lost: without it everybody goes on with the last snapshot.
"""

from broker.providers.health.breaker import Breaker
from broker.providers.health.observer import Observer
from broker.providers.health.recorder import Recorder, Seen
from broker.providers.health.verdicts import Verdict, refuses_credential, verdict

__all__ = ["Breaker", "Observer", "Recorder", "Seen", "Verdict", "refuses_credential", "verdict"]
