"""Claim waiting jobs of the native lane for a native batch, which is stored before any call."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select

from broker import routing
from broker.completion import Json
from broker.enums import NativeBatchState
from broker.ids import new_id
from broker.jobs.states import WAITING
from broker.lifecycle import Claim, ClaimedJob, claim_waiting
from broker.queues import NATIVE_LANE
from broker.requests.operations import Operation
from broker.storage.tables import Job, JobPayload, NativeBatch, NativeLine, table

LOOK_GROUP = 5_000  # waiting jobs that are read at a time
DEADLINE_CLASS_MS = 3_600_000  # jobs with deadlines in the same hour share a batch
FOREVER_MS = 30 * 86_400_000
"""The lease of a job in a batch. The steps of the batch end the job earlier; this is the last
resort."""

_jobs = table(Job)
_payloads = table(JobPayload)
_batches = table(NativeBatch)
_lines = table(NativeLine)
_IDS: Any = bindparam("ids", expanding=True)


class WaitingJob(NamedTuple):
    """A waiting job of the native lane."""

    id: str
    provider: str
    model: str
    operation: Operation
    position: int  # in its plan
    deadline_at: int  # Unix milliseconds
    available_at: int
    bytes: int  # of its body


class NativeBatchKey(NamedTuple):
    """The properties that all jobs of a native batch share."""

    provider: str
    model: str
    operation: Operation
    hour: int  # of the deadline, since 1970


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
    """The rules for groups of waiting jobs that are large or old enough for a native batch."""

    now: int
    wait_ms: int
    max_lines: int
    max_bytes: int
    reserve_ms: int
    bytes_at: Mapping[str, int] = field(default_factory=dict)  # by provider, if it accepts less
    paused: Collection[str] = ()  # providers whose jobs continue to wait


def collect_jobs(connection: Connection, look: Collect) -> list[str]:
    """Claim the jobs of every group that is due, and return the ids of their new batches."""
    rows = connection.execute(_WAITING, {"now": look.now})
    waiting = [WaitingJob(*row) for row in rows]
    made = [
        _create(connection, jobs, look)
        for group in _group(waiting, look.paused)
        for pack in _pack(group, look)
        for jobs in _split_by_native_model(connection, pack)
    ]
    return [batch_id for batch_id in made if batch_id is not None]


def _group(waiting: Sequence[WaitingJob], paused: Collection[str]) -> Iterable[list[WaitingJob]]:
    groups: dict[NativeBatchKey, list[WaitingJob]] = defaultdict(list)
    for job in waiting:
        if job.provider in paused:
            continue
        hour = job.deadline_at // DEADLINE_CLASS_MS
        groups[NativeBatchKey(job.provider, job.model, job.operation, hour)].append(job)
    return groups.values()


def _pack(group: Sequence[WaitingJob], look: Collect) -> Iterator[list[WaitingJob]]:
    """Yield full packs, and the rest once its oldest job has waited long enough."""
    pack: list[WaitingJob] = []
    size = 0
    most = min(look.max_bytes, look.bytes_at.get(group[0].provider, look.max_bytes))
    for job in group:
        if pack and (len(pack) >= look.max_lines or size + job.bytes > most):
            yield pack
            pack, size = [], 0
        pack.append(job)
        size += job.bytes
    full = len(pack) >= look.max_lines or size >= most
    if pack and (full or pack[0].available_at <= look.now - look.wait_ms):
        yield pack


def _split_by_native_model(
    connection: Connection, pack: Sequence[WaitingJob]
) -> Iterable[list[WaitingJob]]:
    """Split jobs by the provider's name of their model: a native batch has one model."""
    plans = connection.execute(_PLANS, {"ids": [job.id for job in pack]})
    plan_of: Mapping[str, bytes] = {row.job_id: row.plan for row in plans}
    groups: dict[str, list[WaitingJob]] = defaultdict(list)
    for job in pack:
        groups[routing.decode_plan(plan_of[job.id])[job.position].native].append(job)
    return groups.values()


def _create(connection: Connection, waiting: Sequence[WaitingJob], look: Collect) -> str | None:
    """Claim the jobs for a new batch; return None if other processes have claimed all of them."""
    batch_id = new_id("nb_")
    claims = [Claim(job.id, batch_id, look.now, FOREVER_MS) for job in waiting]
    jobs = claim_waiting(connection, claims)
    if not jobs:
        return None
    connection.execute(_INSERT_BATCH, _row(batch_id, jobs, look))
    connection.execute(
        _INSERT_LINES,
        [{"native_batch_id": batch_id, "job_id": job.id, "attempt": job.attempt} for job in jobs],
    )
    return batch_id


def _row(batch_id: str, jobs: Sequence[ClaimedJob], look: Collect) -> Json:
    endpoint = jobs[0].endpoint
    return {
        "id": batch_id,
        "provider": endpoint.provider,
        "native_model": endpoint.native,
        "operation": jobs[0].operation,
        "state": NativeBatchState.SUBMITTING,
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
    """Return when open jobs leave the batch, with time left for another endpoint."""
    return deadline - min(look.reserve_ms, (deadline - look.now) // 2)
