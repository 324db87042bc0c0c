"""What follows from ends, in their transaction: deliveries to whoever wants them, and usage."""

from collections.abc import Sequence

from sqlalchemy import Connection

from broker import usage, webhooks
from broker.lifecycle.ended import Ended
from broker.lifecycle.following import carry


def announce(connection: Connection, jobs: Sequence[Ended]) -> None:
    """Create the deliveries of these endings and add up the usage; call it last, and once.

    Jobs that share an ended job's call end with it, or go on without it. The sums are rows that all
    processes write: here each of them is locked in one order, and not for long.
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
    usage.add(connection, [job.consumed for job in jobs if job.consumed is not None])
