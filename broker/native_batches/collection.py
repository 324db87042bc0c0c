"""Waiting jobs of the native lane → a batch to be made: claimed, and on record before any call."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from broker import routing
from broker.enums import NativeBatchState
from broker.ids import new_id
from broker.jobs.states import WAITING
from broker.lifecycle import Claim, ClaimedJob, claim_waiting
from broker.queues import NATIVE_LANE
from broker.storage.tables import Job, JobPayload, NativeBatch, NativeLine, table

LOOK_GROUP = 5_000  # waiting jobs that one look weighs
DEADLINE_CLASS_MS = 3_600_000  # jobs whose deadlines are this near to each other go together
FOREVER_MS = 30 * 86_400_000
"""The lease of a job in a batch. The batch's own row looks after it; should that be forgotten, the
job is rescued like any other in the end."""

_jobs = table(Job)
_payloads = table(JobPayload)
_batches = table(NativeBatch)
_lines = table(NativeLine)
_IDS: Any = bindparam("ids", expanding=True)

_WAITING = (
    select(
        _jobs.c.id,
        _jobs.c.provider,
        _jobs.c.model,
        _jobs.c.operation,
        _jobs.c.position,
        _jobs.c.deadline_at,
        _jobs.c.available_at,
        func.length(_payloads.c.request).label("bytes"),
    )
    .join(_payloads, _payloads.c.job_id == _jobs.c.id)
    .where(
        _jobs.c.state.in_(WAITING),
        _jobs.c.lane == NATIVE_LANE,
        _jobs.c.available_at <= bindparam("now"),
        _jobs.c.deadline_at > bindparam("now"),
    )
    .order_by(_jobs.c.available_at, _jobs.c.id)
    .limit(LOOK_GROUP)
)
_PLANS = select(_payloads.c.job_id, _payloads.c.plan).where(_payloads.c.job_id.in_(_IDS))
_INSERT_BATCH = insert(_batches)
_INSERT_LINES = insert(_lines)


@dataclass(frozen=True, slots=True)
class Collect:
    """A look at what waits: which groups are large or old enough to go."""

    now: int
    wait_ms: int
    max_lines: int
    max_bytes: int
    reserve_ms: int
    bytes_at: Mapping[str, int] = field(default_factory=dict)  # by provider, where it takes less
    paused: Collection[str] = ()  # providers whose jobs wait on


def collect_jobs(connection: Connection, look: Collect) -> list[str]:
    """Claim the jobs of every group that is due, and return the ids of their new batches."""
    waiting = connection.execute(_WAITING, {"now": look.now}).all()
    made = [
        _make(connection, rows, look)
        for group in _groups(waiting, look.paused)
        for pack in _packs(group, look)
        for rows in _by_native_model(connection, pack)
    ]
    return [batch_id for batch_id in made if batch_id is not None]


def _groups(waiting: Sequence[Any], paused: Collection[str]) -> Iterable[list[Any]]:
    groups: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for row in waiting:
        if row.provider in paused:
            continue
        hour = row.deadline_at // DEADLINE_CLASS_MS
        groups[(row.provider, row.model, row.operation, hour)].append(row)
    return groups.values()


def _packs(group: Sequence[Any], look: Collect) -> Iterator[list[Any]]:
    """Yield full packs, and the rest once its oldest job has waited long enough."""
    pack: list[Any] = []
    size = 0
    most = min(look.max_bytes, look.bytes_at.get(group[0].provider, look.max_bytes))
    for row in group:
        if pack and (len(pack) >= look.max_lines or size + row.bytes > most):
            yield pack
            pack, size = [], 0
        pack.append(row)
        size += row.bytes
    full = len(pack) >= look.max_lines or size >= most
    if pack and (full or pack[0].available_at <= look.now - look.wait_ms):
        yield pack


def _by_native_model(connection: Connection, pack: Sequence[Any]) -> Iterable[list[Any]]:
    """Split where one model slug has several names at the provider: a batch has one model."""
    plans = connection.execute(_PLANS, {"ids": [row.id for row in pack]})
    plan_of: Mapping[str, bytes] = {row.job_id: row.plan for row in plans}
    groups: dict[str, list[Any]] = defaultdict(list)
    for row in pack:
        groups[routing.decode_plan(plan_of[row.id])[row.position].native].append(row)
    return groups.values()


def _make(connection: Connection, rows: Sequence[Any], look: Collect) -> str | None:
    """Claim the jobs for a new batch; None where another process was faster with all of them."""
    batch_id = new_id("nb_")
    ids = [row.id for row in rows]
    claims = [Claim(id_, batch_id, look.now, FOREVER_MS) for id_ in ids]
    jobs = claim_waiting(connection, claims)
    if not jobs:
        return None
    connection.execute(_INSERT_BATCH, _row(batch_id, jobs, look))
    connection.execute(
        _INSERT_LINES,
        [{"native_batch_id": batch_id, "job_id": job.id, "attempt": job.attempt} for job in jobs],
    )
    return batch_id


def _row(batch_id: str, jobs: Sequence[ClaimedJob], look: Collect) -> dict[str, Any]:
    endpoint = jobs[0].endpoint
    return {
        "id": batch_id,
        "provider": endpoint.provider,
        "native_model": endpoint.native,
        "operation": jobs[0].operation.value,
        "state": NativeBatchState.SUBMITTING.value,
        "lines": len(jobs),
        "next_poll_at": look.now,
        "give_up_at": give_up_at(min(job.deadline_at for job in jobs), look),
        "created_at": look.now,
        "guessed": False,
        "cancel_sent": False,
        "completed": 0,
        "failed": 0,
        "polls": 0,
    }


def give_up_at(deadline: int, look: Collect) -> int:
    """Return when what the batch has not answered goes elsewhere, with time left for that."""
    return deadline - min(look.reserve_ms, (deadline - look.now) // 2)
