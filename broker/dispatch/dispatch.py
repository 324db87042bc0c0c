"""Publish what is due: jobs, batch lines, and messages that were lost.

One column answers all three: `dispatch_at` is when the dispatcher next publishes a waiting job,
unless a worker has claimed it by then. Jobs in a *line* (batch jobs, and those that found their
provider busy) wait in the database until there is room at their provider, and are fed in fair
turns. A look costs the same whatever the backlog (see `due`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import Connection, bindparam, func, or_, select

from broker.dispatch.due import DUE, DUE_GROUP, HEADS, NEXT_IN_LINE, DueJob, Head, waiting_providers
from broker.dispatch.fair_queue import FairTurns, Flow
from broker.dispatch.queue_depth import Feeding
from broker.enums import JobState
from broker.lifecycle import mark_published
from broker.queues import NATIVE_LANE, REDISPATCH_MS, Lane, Ready, batch_of
from broker.storage.tables import Batch, Job, Workspace, table

MOST_LINES = 1_000  # looked at in one turn; the next turn begins where this one ended
FED_PATIENCE_MS = 15_000  # a fed job that nobody claimed for so long is fed again
UNKNOWN_PROVIDER_ROOM = 16  # for jobs of a provider that is configured no longer
CHUNK = 16  # jobs read from a line at a time

RUNNING_BATCHES = ("validating", "in_progress")  # of a batch in another state nothing more goes

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
class Memory:
    """The state of the fair turns at each provider. A new leader begins with an empty one."""

    turns: dict[QueueKey, FairTurns] = field(default_factory=dict)
    after: dict[QueueKey, str] = field(default_factory=dict)  # the last line looked at
    feeding: Feeding = field(default_factory=Feeding)


@dataclass(frozen=True, slots=True)
class Due:
    """A look at what is due; `rooms` is how many fed jobs may wait on each provider's queues."""

    now: int
    rooms: Mapping[str, int]
    memory: Memory = field(default_factory=Memory)


def dispatch_due(connection: Connection, look: Due) -> list[Ready]:
    """Mark due jobs as published and return them for publishing.

    Jobs in no line all go; those in line only as far as there is room at their provider,
    interactive ones first. A later look finds the jobs of a process that dies before it publishes.
    """
    lanes = [{"lane": lane.value, "now": look.now} for lane in Lane]
    chosen: list[DueJob] = [row for lane in lanes for row in connection.execute(DUE, lane)]
    chosen += _feed(connection, look)
    mark_published(connection, {row.id: _again_at(row, look.now) for row in chosen})
    return [Ready(row.id, row.provider, row.lane) for row in chosen]


def _feed(connection: Connection, look: Due) -> list[DueJob]:
    """Choose the jobs in line there is room for: a full provider never holds up another."""
    places = [(each, lane.value) for each in waiting_providers(connection) for lane in Lane]
    heads = {place: _heads(connection, look, place) for place in places}
    budgets = _batch_budgets(connection, [head for each in heads.values() for head in each])
    on_queue = Counter[str]()
    for (provider, _), here in heads.items():
        on_queue[provider] += sum(head.on_queue for head in here)
    rooms = {provider: _room(look, provider, on_queue[provider]) for provider, _ in places}
    chosen: list[DueJob] = []
    for place, here in heads.items():
        sources = [
            Flow(head.line, _Source(connection, look.now, place, head.line, budgets))
            for head in here
            if head.earliest <= look.now
        ]
        fed = _in_turns(connection, look, place, sources, min(rooms[place[0]], DUE_GROUP))
        rooms[place[0]] -= len(fed)
        on_queue[place[0]] += len(fed)
        chosen += fed
    for provider, jobs in on_queue.items():
        look.memory.feeding.fed(provider, jobs)
    return chosen


def _room(look: Due, provider: str, on_queue: int) -> int:
    most = look.rooms.get(provider, UNKNOWN_PROVIDER_ROOM)
    return look.memory.feeding.room(provider, on_queue, most)


def _in_turns(
    connection: Connection, look: Due, place: QueueKey, lines: Sequence[Flow[DueJob]], room: int
) -> list[DueJob]:
    """Choose up to `room` jobs of one provider and lane."""
    if not lines or room <= 0:
        return []
    weights = _weights(connection, {line.workspace_id for line in lines})
    return look.memory.turns.setdefault(place, FairTurns()).choose(lines, weights, room)


def _batch_budgets(connection: Connection, heads: Iterable[Head]) -> dict[str, int]:
    """Return how many more lines may go of each batch that is bounded: none of one that ends."""
    on_queue: Counter[str] = Counter()
    for head in heads:
        batch_id = batch_of(head.line)
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


def _heads(connection: Connection, look: Due, place: QueueKey) -> list[Head]:
    """Return the lines of a place, MOST_LINES at most, going on where the last look ended."""
    wanted: dict[str, Any] = {"provider": place[0], "lane": place[1], "most": MOST_LINES}
    wanted |= {"now": look.now, "until": look.now + FED_PATIENCE_MS}
    after = look.memory.after.get(place, "")
    heads: list[Head] = list(connection.execute(HEADS, wanted | {"after": after}))
    look.memory.after[place] = heads[-1].line if len(heads) == MOST_LINES else ""
    if after and len(heads) < MOST_LINES:
        rest = connection.execute(HEADS, wanted | {"after": "", "most": MOST_LINES - len(heads)})
        seen = {head.line for head in heads}
        heads += [head for head in rest if head.line not in seen]
    return heads


def _weights(connection: Connection, workspaces: Iterable[str]) -> dict[str, float]:
    rows = connection.execute(
        select(_workspaces.c.id, _workspaces.c.weight).where(_workspaces.c.id.in_(workspaces))
    )
    return {row.id: max(row.weight, 1) for row in rows}


class _Source:
    """A line's due jobs, read a few at a time, as far as its batch may have more in flight."""

    def __init__(
        self, connection: Connection, now: int, place: QueueKey, line: str, budgets: dict[str, int]
    ) -> None:
        self._connection = connection
        self._where = {"provider": place[0], "lane": place[1], "line": line, "now": now}
        self._batch = batch_of(line) or ""
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
            self._read = list(reversed(self._connection.execute(NEXT_IN_LINE, wanted).all()))
            self._taken += len(self._read)
            self._over = len(self._read) < CHUNK
        return self._read.pop() if self._read else None


def _again_at(row: DueJob, now: int) -> int:
    """Return when a job is published again unless it has been claimed by then.

    A job in no flow is published again after as long as it has waited, 15 s at least.
    """
    patience = FED_PATIENCE_MS if row.line else max(REDISPATCH_MS, now - row.available_at)
    return min(now + patience, max(row.deadline_at, now + 1))
