"""The names of queues, lanes and tasks, which all processes share.

Each provider has one queue for each lane, `<provider>.<lane>`. Webhook deliveries have one queue. A
message contains only ids: prompts and keys never enter the transport, because Flower shows the
arguments of tasks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

RUN_JOBS_TASK = "waybill.run_jobs"
SEND_DELIVERIES_TASK = "waybill.send_deliveries"
DELIVERIES_QUEUE = "waybill.deliveries"
BUNDLE_SIZE = 32  # ids in one message, at most

REDISPATCH_MS = 15_000
"""A published job that nobody claimed within this time is published again."""


class Lane(StrEnum):
    INTERACTIVE = "interactive"  # published at once, before batch jobs
    BATCH = "batch"  # published by the dispatcher, in fair turns and as far as there is room


NATIVE_LANE = "native"
"""The lane of jobs that wait for, or are in, a provider's own batch. No queue has it."""

FOLLOWING_LANE = "coalesced"
"""The lane of jobs that wait for another's answer, see `coalescing`. No queue has it."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A job that is to be published, and where."""

    job_id: str
    provider: str
    lane: str


def choose_lane(lane: str) -> str:
    """Return the lane of a job that is queued again: `batch` for a job of a lane without queues."""
    return lane if lane in set(Lane) else Lane.BATCH.value


def build_flow_name(workspace_id: str, batch_id: str | None, priority: int) -> str:
    """Return the name of the flow in which a job waits: its workspace, batch and priority."""
    return f"{workspace_id}/{batch_id or ''}/{priority}"


def batch_of(flow: str) -> str | None:
    """Return the id of the batch whose jobs a flow has, or None."""
    return flow.split("/")[1] or None


def queue_name(provider: str, lane: Lane) -> str:
    return f"{provider}.{lane.value}"


def queue_names(providers: Iterable[str], only: str = "") -> list[str]:
    """Return the queues of these providers: those of the lane `only`, or of all lanes."""
    lanes = [Lane(only)] if only else list(Lane)
    return [queue_name(provider, lane) for provider in providers for lane in lanes]


def find_task(queue: str) -> str:
    """Return the name of the task that processes the ids on this queue."""
    return SEND_DELIVERIES_TASK if queue == DELIVERIES_QUEUE else RUN_JOBS_TASK


def split_queue_name(name: str) -> tuple[str, Lane]:
    """Return the provider and lane of a queue."""
    provider, lane = name.rsplit(".", 1)
    return provider, Lane(lane)
