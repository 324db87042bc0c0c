"""Coalescing: identical concurrent jobs of a workspace share one call, if they request it."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from broker.billing import ledger
from broker.completion import Json
from broker.enums import JobState
from broker.errors import InvalidRequestError
from broker.ids import generation_id
from broker.jobs.states import WAITING
from broker.lifecycle.ended_jobs import Ended, EndingJob
from broker.lifecycle.transitions import UNCLAIMED, apply, change, of_job, transition
from broker.requests.operations import Operation, is_streamed
from broker.storage.frequent_statements import FrequentUpdate
from broker.storage.tables import CoalescedJob, Generation, Job, JobPayload, columns, table
from broker.usage import Consumption, CountedJob, GenerationRow

FIELD = "coalesce"

_members = table(CoalescedJob)
_SELECT_PRIMARIES = (
    select(_members.c.workspace_id, _members.c.fingerprint, _members.c.job_id)
    .where(
        _members.c.workspace_id.in_(bindparam("workspaces", expanding=True)),
        _members.c.fingerprint.in_(bindparam("fingerprints", expanding=True)),
        _members.c.leads,
    )
    .order_by(_members.c.workspace_id, _members.c.fingerprint)
    .with_for_update()
)
_INSERT = insert(_members)


@dataclass(frozen=True, slots=True)
class CoalescingJob:
    """A new job that shares its call."""

    job_id: str
    workspace_id: str
    fingerprint: str
    lane: str


def compute_fingerprint(
    body: Json, operation: Operation, *, requested: bool, bounds: Json
) -> str | None:
    """Return the fingerprint that identical calls share; None for a job that does not coalesce.

    `requested` is True if a header requests it. `bounds` are the rights of the key
    (`access.bounds`): a caller never gets the answer of an endpoint that its key may not use, or of
    a job that it may not read. Raises InvalidRequestError for a stream, which cannot be shared.
    """
    if not (requested or body.get(FIELD)):
        return None
    if is_streamed(body):
        raise InvalidRequestError(
            "A stream is not shared: leave out `stream` or `coalesce`.", param=FIELD
        )
    shared = {name: value for name, value in body.items() if name != FIELD}
    canonical = orjson.dumps([operation.value, shared, bounds], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()


def find_primaries(connection: Connection, jobs: Sequence[CoalescingJob]) -> Mapping[str, str]:
    """Return the primary of each job, by job id: the job itself, if it is the primary.

    A primary that ends at the same time holds the lock on its row until its followers are complete.
    Store the members with `insert_members` once the jobs are inserted.
    """
    found = connection.execute(
        _SELECT_PRIMARIES,
        {
            "workspaces": list({each.workspace_id for each in jobs}),
            "fingerprints": list({each.fingerprint for each in jobs}),
        },
    )
    primaries = {(row.workspace_id, row.fingerprint): str(row.job_id) for row in found}
    return {
        each.job_id: primaries.setdefault((each.workspace_id, each.fingerprint), each.job_id)
        for each in jobs
    }


def insert_members(
    connection: Connection, jobs: Sequence[CoalescingJob], primary_of: Mapping[str, str]
) -> None:
    """Store the members. A second primary violates the unique index and is tried again."""
    connection.execute(
        _INSERT,
        [
            {
                "job_id": each.job_id,
                "workspace_id": each.workspace_id,
                "fingerprint": each.fingerprint,
                "lane": each.lane,
                "leads": primary_of[each.job_id] == each.job_id,
            }
            for each in jobs
        ],
    )


_jobs = table(Job)
_payloads = table(JobPayload)
_generations = table(Generation)
_GENERATION = select(*columns(GenerationRow, _generations))
_IDS: Any = bindparam("ids", expanding=True)


class Follower(EndingJob, CountedJob, Protocol):
    """A job that waits for the answer of its primary; `lane` is that of its own call."""

    fingerprint: str
    lane: str


_DELETE_MEMBERS = (
    delete(_members)
    .where(_members.c.job_id.in_(_IDS))
    .returning(_members.c.job_id, _members.c.workspace_id, _members.c.fingerprint, _members.c.leads)
)
_FOLLOWERS = (
    select(*columns(Follower, _members, _jobs))
    .join(_members, _members.c.job_id == _jobs.c.id)
    .where(_members.c.fingerprint.in_(_IDS), _jobs.c.state.in_(WAITING))
    .order_by(_jobs.c.id)
    .with_for_update(of=_jobs)
)
_COMPLETE = FrequentUpdate(
    of_job(transition(JobState.COMPLETED, *UNCLAIMED)).values(
        ended_at=bindparam("now"), started_at=bindparam("now")
    )
)
_STORE = (
    update(_payloads)
    .where(_payloads.c.job_id == bindparam("of_job"))
    .values(response=bindparam("response"))
)
_QUEUE_PRIMARY = FrequentUpdate(
    of_job(change(*UNCLAIMED)).values(
        lane=bindparam("in_lane"), dispatch_at=bindparam("now"), coalesced_with=bindparam("leader")
    )
)
_MARK_PRIMARY = update(_members).where(_members.c.job_id == bindparam("of_job")).values(leads=True)
_SET_PRIMARY = FrequentUpdate(of_job(change(*UNCLAIMED)).values(coalesced_with=bindparam("leader")))


def complete_followers(connection: Connection, ended: Sequence[Ended]) -> list[Ended]:
    """Complete the followers of these ended jobs; return the ends of the followers.

    After an answer all followers get it. Otherwise the oldest follower becomes the primary and is
    queued.
    """
    members = connection.execute(_DELETE_MEMBERS, {"ids": [end.job.id for end in ended]}).all()
    primaries = {(row.workspace_id, row.fingerprint): row.job_id for row in members if row.leads}
    if not primaries:
        return []
    end_of = {end.job.id: end for end in ended}
    groups: dict[str, list[Follower]] = defaultdict(list)
    rows: Iterable[Follower] = connection.execute(
        _FOLLOWERS, {"ids": [key[1] for key in primaries]}
    )
    for row in rows:
        if primary := primaries.get((row.workspace_id, row.fingerprint)):
            groups[primary].append(row)
    completed: list[Ended] = []
    for primary, followers in groups.items():
        if end_of[primary].state is JobState.COMPLETED:
            completed += _complete(connection, end_of[primary], followers)
        else:
            _promote_oldest(connection, followers, end_of[primary].now)
    return completed


def _complete(connection: Connection, primary: Ended, followers: Sequence[Follower]) -> list[Ended]:
    """Complete the followers with the answer of their primary, and settle their holds at 0."""
    primary_id, now = primary.job.id, primary.now
    response, generation = _load_answer(connection, primary_id)
    ids = [row.id for row in followers]
    apply(connection, _COMPLETE, [{"of_job": id_, "now": now} for id_ in ids])
    connection.execute(
        _STORE,
        [{"of_job": id_, "response": _rewrite_answer(response, id_, primary_id)} for id_ in ids],
    )
    generations = [_build_free_generation(generation, id_, now) for id_ in ids]
    connection.execute(insert(_generations), [each._asdict() for each in generations])
    ledger.append(connection, [ledger.settle(row, cost_nanos=0, now=now) for row in followers])
    connection.execute(_DELETE_MEMBERS, {"ids": ids})
    return [
        Ended(row, JobState.COMPLETED, now, Consumption.of(row, generation, now))
        for row, generation in zip(followers, generations, strict=True)
    ]


def _load_answer(connection: Connection, job_id: str) -> tuple[Json, GenerationRow]:
    stored = connection.execute(
        select(_payloads.c.response).where(_payloads.c.job_id == job_id)
    ).scalar_one()
    row = connection.execute(_GENERATION.where(_generations.c.job_id == job_id)).one()
    return orjson.loads(stored), GenerationRow(*row)


def _rewrite_answer(response: Json, job_id: str, primary_id: str) -> bytes:
    """Return the answer with the id of the follower, without cost, and with the primary's id."""
    rewritten = response | {"id": generation_id(job_id), "coalesced_with": primary_id}
    if isinstance(usage := response.get("usage"), dict):
        rewritten["usage"] = usage | {"cost": 0.0}
    return orjson.dumps(rewritten)


def _build_free_generation(generation: GenerationRow, job_id: str, now: int) -> GenerationRow:
    return generation._replace(
        id=generation_id(job_id), job_id=job_id, attempt=0, cost_nanos=0, created_at=now
    )


def _promote_oldest(connection: Connection, followers: Sequence[Follower], now: int) -> None:
    """Make the oldest follower the primary and queue it; the others wait for it."""
    first, *rest = followers
    apply(
        connection,
        _QUEUE_PRIMARY,
        [{"of_job": first.id, "in_lane": first.lane, "now": now, "leader": first.id}],
    )
    connection.execute(_MARK_PRIMARY, [{"of_job": first.id}])
    apply(connection, _SET_PRIMARY, [{"of_job": other.id, "leader": first.id} for other in rest])
