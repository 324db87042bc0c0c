"""From a validated body to a durable job: plan, quote, hold, insert, in one grouped transaction."""

from broker.submission.deciding import asked, fingerprint, prepare, repeat
from broker.submission.inserting import submit_many
from broker.submission.wishes import NewJob, Submitted, Wish

__all__ = [
    "NewJob",
    "Submitted",
    "Wish",
    "asked",
    "fingerprint",
    "prepare",
    "repeat",
    "submit_many",
]
