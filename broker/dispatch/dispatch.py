"""Publish what is due: jobs, batch lines, and messages that were lost.

All three have a `dispatch_at`: when the dispatcher next publishes a waiting job, unless a worker
has claimed it by then. Jobs in a *flow* (batch jobs, and those that found their provider busy) wait
in the database until there is room at their provider, and are published in fair turns. The cost of
a poll does not depend on the backlog (see `due`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import Connection, bindparam, func, or_, select

from broker.dispatch.due import (
    DUE,
    DUE_GROUP,
    FLOW_HEADS,
    NEXT_IN_FLOW,
    DueJob,
    FlowHead,
    list_waiting_providers,
)
from broker.dispatch.fair_queue import FairTurns, Flow
from broker.dispatch.queue_depth import QueueDepths
from broker.enums import JobState
from broker.lifecycle import mark_published
from broker.queues import NATIVE_LANE, REDISPATCH_MS, Lane, Ready, batch_of
from broker.storage.tables import Batch, Job, Workspace, table

MOST_FLOWS = 1_000  # of one poll; the next poll begins where this one ended
REPUBLISH_MS = 15_000  # a job of a flow that is not claimed in this time is published again
UNKNOWN_PROVIDER_ROOM = 16  # for jobs of a provider that is no longer configured
CHUNK = 16  # jobs read from a flow at a time

RUNNING_BATCHES = ("validating", "in_progress")  # states in which lines of a batch are published

QueueKey: TypeAlias = tuple[str, str]
"""A provider's slug and a lane."""

_jobs = table(Job)
_workspaces = table(Workspace)
_batches = table(Batch)
_BOUNDED_BATCHES = select(_batches.c.id, _batches.c.state, _batches.c.max_concurrency).where(
    _batches.c.id.in_(bindparam("ids", expanding=True)),
    or_(_batches.c.max_concurrency.is_not(None), _batches.c.state.not_in(RUNNING_BATCHES)),
)
_RUNNING_LINES = (
    select(_jobs.c.batch_id, func.count().label("lines"))
    .where(
        _jobs.c.batch_id.in_(bindparam("ids", expanding=True)),
        _jobs.c.state == JobState.RUNNING.value,
        _jobs.c.lane != NATIVE_LANE,  # there the provider paces them, for hours
    )
    .group_by(_jobs.c.batch_id)
)


@dataclass(slots=True)
class DispatchState:
    """The state of the turns between polls. A new leader begins with an empty one."""

    turns: dict[QueueKey, FairTurns] = field(default_factory=dict)
    after: dict[QueueKey, str] = field(default_factory=dict)  # the last flow of the last poll
    depths: QueueDepths = field(default_factory=QueueDepths)


@dataclass(frozen=True, slots=True)
class DispatchPoll:
    """The inputs of a poll; `rooms` is how many jobs may wait on each provider's queues."""

    now: int
    rooms: Mapping[str, int]
    state: DispatchState = field(default_factory=DispatchState)


def dispatch_due(connection: Connection, poll: DispatchPoll) -> list[Ready]:
    """Mark due jobs as published and return them for publishing.

    All jobs outside of flows are published. Those in flows are published as far as there is room at
    their provider, interactive ones first. A later poll finds the jobs of a process that dies
    before it publishes.
    """
    lanes = [{"lane": lane.value, "now": poll.now} for lane in Lane]
    chosen: list[DueJob] = [row for lane in lanes for row in connection.execute(DUE, lane)]
    chosen += _choose_from_flows(connection, poll)
    mark_published(connection, {row.id: _again_at(row, poll.now) for row in chosen})
    return [Ready(row.id, row.provider, row.lane) for row in chosen]


def _choose_from_flows(connection: Connection, poll: DispatchPoll) -> list[DueJob]:
    """Choose the jobs in flows for which there is room; a full provider never delays another."""
    queues = [(each, lane.value) for each in list_waiting_providers(connection) for lane in Lane]
    heads = {queue: _load_heads(connection, poll, queue) for queue in queues}
    budgets = _load_batch_budgets(connection, [head for each in heads.values() for head in each])
    on_queue = Counter[str]()
    for (provider, _), here in heads.items():
        on_queue[provider] += sum(head.on_queue for head in here)
    rooms = {provider: _find_room(poll, provider, on_queue[provider]) for provider, _ in queues}
    chosen: list[DueJob] = []
    for queue, here in heads.items():
        sources = [
            Flow(head.flow, _FlowJobs(connection, poll.now, queue, head.flow, budgets))
            for head in here
            if head.earliest <= poll.now
        ]
        taken = _take_turns(connection, poll, queue, sources, min(rooms[queue[0]], DUE_GROUP))
        rooms[queue[0]] -= len(taken)
        on_queue[queue[0]] += len(taken)
        chosen += taken
    for provider, jobs in on_queue.items():
        poll.state.depths.record(provider, jobs)
    return chosen


def _find_room(poll: DispatchPoll, provider: str, on_queue: int) -> int:
    most = poll.rooms.get(provider, UNKNOWN_PROVIDER_ROOM)
    return poll.state.depths.find_room(provider, on_queue, most)


def _take_turns(
    connection: Connection,
    poll: DispatchPoll,
    queue: QueueKey,
    flows: Sequence[Flow[DueJob]],
    room: int,
) -> list[DueJob]:
    """Choose up to `room` jobs of one provider and lane."""
    if not flows or room <= 0:
        return []
    weights = _load_weights(connection, {flow.workspace_id for flow in flows})
    return poll.state.turns.setdefault(queue, FairTurns()).choose(flows, weights, room)


def _load_batch_budgets(connection: Connection, heads: Iterable[FlowHead]) -> dict[str, int]:
    """Return how many more lines of each bounded batch may be published: 0 for one that ends."""
    on_queue: Counter[str] = Counter()
    for head in heads:
        batch_id = batch_of(head.flow)
        if batch_id is not None:
            on_queue[batch_id] += head.on_queue
    if not on_queue:
        return {}
    rows = connection.execute(_BOUNDED_BATCHES, {"ids": list(on_queue)}).all()
    running = dict.fromkeys((row.id for row in rows), 0)
    if rows:
        counted = connection.execute(_RUNNING_LINES, {"ids": list(running)})
        running |= {row.batch_id: row.lines for row in counted}
    return {
        row.id: row.max_concurrency - running[row.id] - on_queue[row.id]
        if row.state in RUNNING_BATCHES
        else 0
        for row in rows
    }


def _load_heads(connection: Connection, poll: DispatchPoll, queue: QueueKey) -> list[FlowHead]:
    """Return up to MOST_FLOWS flows of a provider and lane, after those of the last poll."""
    wanted: dict[str, Any] = {"provider": queue[0], "lane": queue[1], "most": MOST_FLOWS}
    wanted |= {"now": poll.now, "until": poll.now + REPUBLISH_MS}
    after = poll.state.after.get(queue, "")
    heads: list[FlowHead] = list(connection.execute(FLOW_HEADS, wanted | {"after": after}))
    poll.state.after[queue] = heads[-1].flow if len(heads) == MOST_FLOWS else ""
    if after and len(heads) < MOST_FLOWS:
        rest = connection.execute(
            FLOW_HEADS, wanted | {"after": "", "most": MOST_FLOWS - len(heads)}
        )
        seen = {head.flow for head in heads}
        heads += [head for head in rest if head.flow not in seen]
    return heads


def _load_weights(connection: Connection, workspaces: Iterable[str]) -> dict[str, float]:
    rows = connection.execute(
        select(_workspaces.c.id, _workspaces.c.weight).where(_workspaces.c.id.in_(workspaces))
    )
    return {row.id: max(row.weight, 1) for row in rows}


class _FlowJobs:
    """A flow's due jobs, read a few at a time, as far as its batch may have more in flight."""

    def __init__(
        self, connection: Connection, now: int, queue: QueueKey, flow: str, budgets: dict[str, int]
    ) -> None:
        self._connection = connection
        self._where = {"provider": queue[0], "lane": queue[1], "flow": flow, "now": now}
        self._batch = batch_of(flow) or ""
        self._budgets = budgets
        self._read: list[DueJob] = []
        self._taken = 0
        self._over = False

    def next(self) -> DueJob | None:
        if self._batch in self._budgets:
            if self._budgets[self._batch] <= 0:
                return None
            self._budgets[self._batch] -= 1
        if not self._read and not self._over:
            wanted = self._where | {"most": CHUNK, "taken": self._taken}
            self._read = list(reversed(self._connection.execute(NEXT_IN_FLOW, wanted).all()))
            self._taken += len(self._read)
            self._over = len(self._read) < CHUNK
        return self._read.pop() if self._read else None


def _again_at(row: DueJob, now: int) -> int:
    """Return when a job is published again unless it has been claimed by then.

    A job in no flow is published again after as long as it has waited, 15 s at least.
    """
    delay = REPUBLISH_MS if row.line else max(REDISPATCH_MS, now - row.available_at)
    return min(now + delay, max(row.deadline_at, now + 1))
