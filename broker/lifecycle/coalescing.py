"""Identical calls of one workspace at one time are one call, where the jobs ask for that.

Only callers that may read one another's jobs share: one key, or keys with the scope `jobs`.

The first job leads: it is queued like any other. Those that come while it waits or runs follow:
they wait in a lane without queues, and end with the leader's answer at no cost
(`lifecycle.following`). Who leads is in the database, unique by constraint.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, bindparam, insert, select

from broker.completion import Json
from broker.errors import InvalidRequestError
from broker.requests.operations import Operation
from broker.storage.tables import CoalescedJob, table

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
