"""From a body to a durable job: plan, quote, hold, insert, in one grouped transaction.

`options` (what may be requested of a job), `quotes` (what is held for it), `preparation` (all that
is decided before a write), `admission` (the same from a body as it came), `insertion`;
`comparisons` (jobs that belong together), `response_cache` (an earlier answer given to a new job).
"""

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
