"""The only writer of a job's state after its submission.

Claim, defer, record, rescue, cancel, expire, reopen: each is one guarded statement. It names the
states it may start from, and a running job's also the attempt number, so that a worker thought dead
cannot finish another's attempt. Rows that do not match were moved by somebody else: their caller
learns it and stops quietly.
"""

from broker.lifecycle.claims import Claim, ClaimedJob, claim_many
from broker.lifecycle.deferrals import Deferral, defer_many
from broker.lifecycle.endings import Cancellation, Reopening, cancel_many, expire_many, reopen_many
from broker.lifecycle.ends import error_json
from broker.lifecycle.extensions import Extension, extend_many, is_dearer
from broker.lifecycle.leases import Heartbeat, Renewal, Rescue, renew_many, rescue_many
from broker.lifecycle.records import Ending, Failed, Finished, decide, record_many

__all__ = [
    "Cancellation",
    "Claim",
    "ClaimedJob",
    "Deferral",
    "Ending",
    "Extension",
    "Failed",
    "Finished",
    "Heartbeat",
    "Renewal",
    "Reopening",
    "Rescue",
    "cancel_many",
    "claim_many",
    "decide",
    "defer_many",
    "error_json",
    "expire_many",
    "extend_many",
    "is_dearer",
    "record_many",
    "renew_many",
    "reopen_many",
    "rescue_many",
]
