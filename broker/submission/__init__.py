"""Submit jobs: plan, quote, hold and insert, in one grouped transaction.

`options` (the options of a job), `quotes` (the holds), `preparation` (all decisions before the
write), `admission` (checks a body and prepares its job), `idempotency` (finds the earlier job of a
repeated request), `insertion`; `response_cache` (earlier
answers for new jobs).
"""

from broker.submission.insertion import submit_many
from broker.submission.options import JobOptions, NewJob, Submitted
from broker.submission.preparation import (
    build_routing_request,
    compute_fingerprint,
    prepare,
    prepare_repeat,
)

__all__ = [
    "JobOptions",
    "NewJob",
    "Submitted",
    "build_routing_request",
    "compute_fingerprint",
    "prepare",
    "prepare_repeat",
    "submit_many",
]
