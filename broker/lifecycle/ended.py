"""A job's end, as those who follow from it see it."""

from dataclasses import dataclass
from typing import Any

from broker.states import JobState
from broker.usage import Consumption


@dataclass(frozen=True, slots=True)
class Ended:
    """A job in which nothing more happens by itself."""

    job_id: str
    workspace_id: str
    state: JobState
    now: int
    webhook: str | None
    is_line: bool  # of a batch
    shares: bool = False  # its call is shared with others, see `following`
    consumed: Consumption | None = None  # what is added to the usage


def ended(
    row: Any, workspace_id: str, state: JobState, now: int, consumed: Consumption | None = None
) -> Ended:
    """Return the end of the job with this row (`id`, `webhook`, `batch_id`, `coalesced_with`)."""
    return Ended(
        *(row.id, workspace_id, state, now, row.webhook),
        is_line=row.batch_id is not None,
        shares=row.coalesced_with is not None,
        consumed=consumed,
    )
