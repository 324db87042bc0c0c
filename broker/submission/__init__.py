"""From a body to a durable job: plan, quote, hold, insert, in one grouped transaction.

`options` (what may be requested of a job), `quotes` (what is held for it), `preparation` (all that
is decided before a write), `admission` (the same from a body as it came), `insertion`;
`comparisons` (jobs that belong together), `response_cache` (an earlier answer given to a new job).
"""

from broker.submission.insertion import submit_many
from broker.submission.options import JobOptions, NewJob, Submitted
from broker.submission.preparation import fingerprint, prepare, repeat, routing_request

__all__ = [
    "JobOptions",
    "NewJob",
    "Submitted",
    "fingerprint",
    "prepare",
    "repeat",
    "routing_request",
    "submit_many",
]
