"""The only package that changes a job's state after its submission.

Every update is guarded (`transitions`): it names the states that it may start from, and that of a
running job also the attempt number, so that a worker that lost its job cannot end another attempt.
A function first locks the jobs that its caller names. Jobs that another process has moved
meanwhile are excluded from the update, and the result shows it. The update must then match
all other jobs, or the transaction is rolled back.

`claims` starts attempts and `attempt_endings` records their ends: answer, settlement and state in
one transaction. `retries` decides what follows a failure. `background_answers` hands the answer of
an interrupted attempt to the next one. `leases`, `extensions` and `deferrals` act on jobs between
these. `cancellation_and_expiry` ends jobs that no worker runs, and reopens those under review.
`document_readings` has the texts that OCR has read, and its cost. `ended_jobs` has the ends of
attempts and jobs as values; `announcements` and `coalescing` do what follows from the end of a job.
`retention` deletes contents later.
"""

from broker.lifecycle.attempt_endings import decide, record_many
from broker.lifecycle.background_answers import BegunAnswer, store_begun_answers
from broker.lifecycle.cancellation_and_expiry import Cancellation, cancel_many, expire, reopen
from broker.lifecycle.claims import Claim, ClaimedJob, claim_many, claim_waiting, mark_published
from broker.lifecycle.deferrals import Deferral, defer_many
from broker.lifecycle.document_readings import (
    NewReading,
    ReadingKey,
    find_reading,
    store_reading,
)
from broker.lifecycle.ended_jobs import Ending, Failed, Finished, encode_failure
from broker.lifecycle.extensions import Extension, extend_many, needs_extension
from broker.lifecycle.leases import Renewal, has_open_jobs, renew, rescue

__all__ = [
    "BegunAnswer",
    "Cancellation",
    "Claim",
    "ClaimedJob",
    "Deferral",
    "Ending",
    "Extension",
    "Failed",
    "Finished",
    "NewReading",
    "ReadingKey",
    "Renewal",
    "cancel_many",
    "claim_many",
    "claim_waiting",
    "decide",
    "defer_many",
    "encode_failure",
    "expire",
    "extend_many",
    "find_reading",
    "has_open_jobs",
    "mark_published",
    "needs_extension",
    "record_many",
    "renew",
    "reopen",
    "rescue",
    "store_begun_answers",
    "store_reading",
]
