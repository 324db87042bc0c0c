"""The consequences of ended jobs, in the same transaction: webhook deliveries and usage."""

from collections.abc import Sequence

from sqlalchemy import Connection

from broker import usage, webhooks
from broker.lifecycle.coalescing import complete_followers
from broker.lifecycle.ended_jobs import Ended


def announce(connection: Connection, ends: Sequence[Ended]) -> None:
    """Create the deliveries of these ends and add their usage. Call it once, at the end.

    Followers of ended jobs end with them, or one of them becomes the primary. All processes write
    the usage sums, so they are locked late, and in one order.
    """
    shared = [end for end in ends if end.job.coalesced_with is not None]
    if shared:
        ends = [*ends, *complete_followers(connection, shared)]
    events = [
        webhooks.build_job_event(
            end.job, end.state.value, end.now, is_line=end.job.batch_id is not None
        )
        for end in ends
    ]
    webhooks.fan_out(connection, events)
    usage.add(connection, [end.consumed for end in ends if end.consumed is not None])
