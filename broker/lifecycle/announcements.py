"""Whoever wants to hear of a job's end is sent it: deliveries, in the transaction of the ending."""

from collections.abc import Sequence

from sqlalchemy import Connection

from broker import webhooks
from broker.lifecycle.ended import Ended
from broker.lifecycle.following import carry


def announce(connection: Connection, jobs: Sequence[Ended]) -> None:
    """Create the deliveries of these endings; call it once all of a job's rows are written.

    Jobs that share an ended job's call end with it, or go on without it.
    """
    shared = [job for job in jobs if job.shares]
    if shared:
        jobs = [*jobs, *carry(connection, shared)]
    webhooks.fan_out(
        connection,
        [
            webhooks.job_event(
                *(job.job_id, job.workspace_id, job.state.value, job.now, job.webhook),
                is_line=job.is_line,
            )
            for job in jobs
        ],
    )
