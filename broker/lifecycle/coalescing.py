"""Identical calls of one workspace at one time become one call, where the jobs request that."""

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
from broker.lifecycle.ends import Ended, EndingJob
from broker.lifecycle.transitions import UNCLAIMED, apply, change, of_job, transition
from broker.requests.operations import Operation
from broker.storage.tables import CoalescedJob, Generation, Job, JobPayload, columns, table
from broker.usage import Consumer, Consumption, GenerationRow

FIELD = "coalesce"

_members = table(CoalescedJob)
_LEADERS = (
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
class Joining:
    """A job about to be inserted that shares its call."""

    job_id: str
    workspace_id: str
    fingerprint: str
    lane: str


def fingerprint(body: Json, operation: Operation, *, asked: bool, bounds: Json) -> str | None:
    """Return what identical calls have in common, or None for a job that did not ask.

    `asked` says that it did so beside its body; `bounds` what its key may do (`access.bounds`):
    nobody is given an answer from where their own call might not have gone, or of a job that they
    may not read. Raises InvalidRequestError for a
    stream: its chunks are one job's own.
    """
    if not (asked or body.get(FIELD)):
        return None
    if body.get("stream"):
        raise InvalidRequestError(
            "A stream is not shared: leave out `stream` or `coalesce`.", param=FIELD
        )
    same = {name: value for name, value in body.items() if name != FIELD}
    told = orjson.dumps([operation.value, same, bounds], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(told).hexdigest()


def join(connection: Connection, joining: Sequence[Joining]) -> Mapping[str, str]:
    """Return whom each job follows, by job id: itself, where it leads.

    A leader that is ending is waited for: its row is locked until it has carried its followers.
    Write the rows with `enter` once the jobs are inserted.
    """
    found = connection.execute(
        _LEADERS,
        {
            "workspaces": list({each.workspace_id for each in joining}),
            "fingerprints": list({each.fingerprint for each in joining}),
        },
    )
    leaders = {(row.workspace_id, row.fingerprint): str(row.job_id) for row in found}
    return {
        each.job_id: leaders.setdefault((each.workspace_id, each.fingerprint), each.job_id)
        for each in joining
    }


def enter(connection: Connection, joining: Sequence[Joining], leader_of: Mapping[str, str]) -> None:
    """Write who leads and who follows. A second leader violates the index: it tries again."""
    connection.execute(
        _INSERT,
        [
            {
                "job_id": each.job_id,
                "workspace_id": each.workspace_id,
                "fingerprint": each.fingerprint,
                "lane": each.lane,
                "leads": leader_of[each.job_id] == each.job_id,
            }
            for each in joining
        ],
    )


_jobs = table(Job)
_payloads = table(JobPayload)
_generations = table(Generation)
_GENERATION = select(*columns(GenerationRow, _generations))
_IDS: Any = bindparam("ids", expanding=True)


class Follower(EndingJob, Consumer, Protocol):
    """A job that waits for another's answer, and in which lane it would wait for its own."""

    fingerprint: str
    lane: str


_LEAVE = (
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
_COMPLETE = of_job(transition(JobState.COMPLETED, *UNCLAIMED)).values(
    ended_at=bindparam("now"), started_at=bindparam("now")
)
_STORE = (
    update(_payloads)
    .where(_payloads.c.job_id == bindparam("of_job"))
    .values(response=bindparam("response"))
)
_LEAD = of_job(change(*UNCLAIMED)).values(
    lane=bindparam("in_lane"), dispatch_at=bindparam("now"), coalesced_with=bindparam("leader")
)
_LEAD_ON = update(_members).where(_members.c.job_id == bindparam("of_job")).values(leads=True)
_FOLLOW = of_job(change(*UNCLAIMED)).values(coalesced_with=bindparam("leader"))


def carry(connection: Connection, ended: Sequence[Ended]) -> list[Ended]:
    """Do for the followers of these jobs what their ends call for; return who ended with them.

    After an answer all followers have it. After anything else the oldest leads, and is queued.
    """
    left = connection.execute(_LEAVE, {"ids": [end.job.id for end in ended]}).all()
    leaders = {(row.workspace_id, row.fingerprint): row.job_id for row in left if row.leads}
    if not leaders:
        return []
    end_of = {end.job.id: end for end in ended}
    groups: dict[str, list[Follower]] = defaultdict(list)
    rows: Iterable[Follower] = connection.execute(_FOLLOWERS, {"ids": [key[1] for key in leaders]})
    for row in rows:
        if leader := leaders.get((row.workspace_id, row.fingerprint)):
            groups[leader].append(row)
    carried: list[Ended] = []
    for leader, followers in groups.items():
        if end_of[leader].state is JobState.COMPLETED:
            carried += _answer(connection, end_of[leader], followers)
        else:
            _lead_on(connection, followers, end_of[leader].now)
    return carried


def _answer(connection: Connection, leader: Ended, followers: Sequence[Follower]) -> list[Ended]:
    """Give the leader's answer to its followers, and their holds back."""
    leader_id, now = leader.job.id, leader.now
    response, generation = _answered(connection, leader_id)
    ids = [row.id for row in followers]
    apply(connection, _COMPLETE, [{"of_job": id_, "now": now} for id_ in ids])
    connection.execute(
        _STORE,
        [{"of_job": id_, "response": _as_own(response, id_, leader_id)} for id_ in ids],
    )
    made = [_free(generation, id_, now) for id_ in ids]
    connection.execute(insert(_generations), [each._asdict() for each in made])
    ledger.append(connection, [ledger.settle(row, cost_nanos=0, now=now) for row in followers])
    connection.execute(_LEAVE, {"ids": ids})
    return [
        Ended(row, JobState.COMPLETED, now, Consumption.of(row, free, now))
        for row, free in zip(followers, made, strict=True)
    ]


def _answered(connection: Connection, job_id: str) -> tuple[Json, GenerationRow]:
    stored = connection.execute(
        select(_payloads.c.response).where(_payloads.c.job_id == job_id)
    ).scalar_one()
    row = connection.execute(_GENERATION.where(_generations.c.job_id == job_id)).one()
    return orjson.loads(stored), GenerationRow(*row)


def _as_own(response: Json, job_id: str, leader_id: str) -> bytes:
    """Return the leader's answer as a follower's: its own id, no cost, and whose it was."""
    own = response | {"id": generation_id(job_id), "coalesced_with": leader_id}
    if isinstance(usage := response.get("usage"), dict):
        own["usage"] = usage | {"cost": 0.0}
    return orjson.dumps(own)


def _free(generation: GenerationRow, job_id: str, now: int) -> GenerationRow:
    return generation._replace(
        id=generation_id(job_id), job_id=job_id, attempt=0, cost_nanos=0, created_at=now
    )


def _lead_on(connection: Connection, followers: Sequence[Follower], now: int) -> None:
    """Queue the oldest follower in its own lane; the others wait for that one now."""
    first, *others = followers
    apply(
        connection,
        _LEAD,
        [{"of_job": first.id, "in_lane": first.lane, "now": now, "leader": first.id}],
    )
    connection.execute(_LEAD_ON, [{"of_job": first.id}])
    apply(connection, _FOLLOW, [{"of_job": other.id, "leader": first.id} for other in others])
