"""Whoever wants to hear of a job's end is sent it: deliveries, in the transaction of the ending."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from broker import webhooks
from broker.states import JobState


@dataclass(frozen=True, slots=True)
class Ended:
    """A job in which nothing more happens by itself."""

    job_id: str
    workspace_id: str
    state: JobState
    now: int
    webhook: str | None


def announce(connection: Connection, jobs: Sequence[Ended]) -> None:
    """Create the deliveries of these endings; call it once all of a job's rows are written."""
    webhooks.fan_out(
        connection,
        [
            webhooks.job_event(job.job_id, job.workspace_id, job.state.value, job.now, job.webhook)
            for job in jobs
        ],
    )
