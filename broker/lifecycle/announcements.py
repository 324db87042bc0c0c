"""The consequences of ended jobs, in the same transaction: webhook deliveries and usage."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from broker import usage, webhooks
from broker.dialects.responses import ids
from broker.dialects.responses.answer import CANCELLED, FAILED, find_ended_status
from broker.enums import Dialect, JobState
from broker.lifecycle.coalescing import complete_followers
from broker.lifecycle.ended_jobs import Ended
from broker.webhooks import WebhookEvent


def announce(connection: Connection, ends: Sequence[Ended]) -> None:
    """Create the deliveries of these ends and add their usage. Call it once, at the end.

    Followers of ended jobs end with them, or one of them becomes the primary. All processes write
    the usage sums, so they are locked late, and in one order.
    """
    shared = [end for end in ends if end.job.coalesced_with is not None]
    if shared:
        ends = [*ends, *complete_followers(connection, shared)]
    webhooks.fan_out(connection, [event for end in ends for event in _build_events(end)])
    usage.add(connection, [end.consumed for end in ends if end.consumed is not None])


def _build_events(end: Ended) -> Iterator[WebhookEvent]:
    """Yield the events of an end: that of the job, and that of its response."""
    job, is_line = end.job, end.job.batch_id is not None
    yield webhooks.build_job_event(job, end.state.value, end.now, is_line=is_line)
    status = _find_status(end) if job.dialect == Dialect.RESPONSES else None
    if status is not None:
        id_ = ids.response_id(job.id)
        yield webhooks.build_response_event(job, id_, status, end.now, is_line=is_line)


def _find_status(end: Ended) -> str | None:
    """Return the status of an ended response; None for one in review, which may go on."""
    if end.state is JobState.COMPLETED:
        generation = end.consumed.generation if end.consumed is not None else None
        return find_ended_status(generation.finish_reason if generation is not None else None)
    return {
        JobState.FAILED: FAILED, JobState.EXPIRED: FAILED, JobState.CANCELLED: CANCELLED,
    }.get(end.state)  # fmt: skip
