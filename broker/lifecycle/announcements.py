"""The consequences of ended jobs, in the same transaction: webhook deliveries and usage."""

from collections.abc import Sequence

from sqlalchemy import Connection

from broker import usage, webhooks
from broker.lifecycle.coalescing import carry
from broker.lifecycle.ends import Ended


def announce(connection: Connection, ends: Sequence[Ended]) -> None:
    """Create the deliveries of these endings and add up the usage; call it last, and once.

    Jobs that share an ended job's call end with it, or go on without it. The sums are rows that all
    processes write: here each of them is locked in one order, and not for long.
    """
    shared = [end for end in ends if end.job.coalesced_with is not None]
    if shared:
        ends = [*ends, *carry(connection, shared)]
    events = [
        webhooks.build_job_event(
            end.job, end.state.value, end.now, is_line=end.job.batch_id is not None
        )
        for end in ends
    ]
    webhooks.fan_out(connection, events)
    usage.add(connection, [end.consumed for end in ends if end.consumed is not None])
