"""The result of one job of a message, as monitors count it. Pure."""

from enum import StrEnum

from broker.enums import JobState
from broker.lifecycle.retries import Decision, GiveUp


class JobResult(StrEnum):
    """The results of a job that a worker ran once."""

    COMPLETED = "completed"
    RETRIED = "retried"  # the attempt failed, and the job is tried again
    FAILED = "failed"  # the job ended without an answer
    CANCELLED = "cancelled"
    WAITING = "waiting"  # its provider has no room now, or is paused
    RETURNED = "returned"  # this worker takes no more: another gets it
    SKIPPED = "skipped"  # it was claimed, cancelled or ended before: a duplicate message
    LOST = "lost"  # an error of this worker: the job is rescued when its lease ends


def find_result(decision: Decision | None) -> JobResult:
    """Return the result of a failed attempt with this decision; None: it is another's job now."""
    if decision is None:
        return JobResult.SKIPPED
    if not isinstance(decision, GiveUp):
        return JobResult.RETRIED
    return JobResult.CANCELLED if decision.state is JobState.CANCELLED else JobResult.FAILED
