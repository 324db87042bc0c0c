"""From a validated body to a durable job: plan, quote, hold, insert, in one grouped transaction."""

from broker.submission.insertion import submit_many
from broker.submission.options import NewJob, Submitted, Wish
from broker.submission.preparation import asked, fingerprint, prepare, repeat

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
