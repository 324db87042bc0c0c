"""Retention: delete the contents of ended jobs, a few rows at a time.

Usage and ledger stay. Each step is guarded by what the row still keeps, so that several processes
may take steps at once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson
from sqlalchemy import Connection, bindparam, exists, or_, select, update

from broker.completion import Json
from broker.enums import DeliveryState, JobState, Kept, Store
from broker.errors import ConflictError, NotFoundError
from broker.jobs.privacy import DAY_MS
from broker.jobs.states import TERMINAL
from broker.lifecycle.document_readings import delete_readings
from broker.security.signed_links import LINK_SECONDS
from broker.storage.tables import (
    Batch,
    Delivery,
    EvaluationPrompt,
    Job,
    JobPayload,
    StoredFile,
    Workspace,
    columns,
    table,
)
from broker.webhooks import events

GROUP = 200

_jobs = table(Job)
_payloads = table(JobPayload)
_files = table(StoredFile)
_batches = table(Batch)
_deliveries = table(Delivery)
_workspaces = table(Workspace)
_prompts = table(EvaluationPrompt)

DELETED_PROMPT = '{"prompt":"(deleted)"}'
"""The content of a prompt that replayed a job whose contents were deleted."""

_SOMETHING_KEPT = or_(_jobs.c.kept.is_(None), _jobs.c.kept != Kept.NOTHING.value)
_ENDED = _jobs.c.ended_at.is_not(None)
_ON_THEIR_WAY = (DeliveryState.PENDING.value, DeliveryState.RUNNING.value)
_THINNER = (
    update(_deliveries).where(_deliveries.c.id == bindparam("of_id")).values(payload=bindparam("b"))
)


class _DeletableJob(Protocol):
    id: str
    state: JobState
    batch_id: str | None
    kept: Kept | None


_DELETABLE = columns(_DeletableJob, _jobs)


@dataclass(frozen=True, slots=True)
class AnswerFetch:
    """The answer of a job was sent to its caller at `now` (Unix ms)."""

    job_id: str
    now: int


def delete(connection: Connection, job_id: str, workspace_id: str, now: int) -> bool:
    """Delete prompt, answer, event log and files of an ended job; return whether any were kept.

    Raises NotFoundError, or ConflictError for a job that has not ended and for a line of a batch
    that has yet to write its result files.
    """
    row: _DeletableJob | None = connection.execute(
        select(*_DELETABLE).where(_jobs.c.id == job_id, _jobs.c.workspace_id == workspace_id)
    ).first()
    if row is None:
        raise NotFoundError(f"There is no job {job_id}.")
    if JobState(row.state) not in TERMINAL:
        raise ConflictError(
            f"Job {row.id} is {row.state.replace('_', ' ')}: cancel it, or wait until it has ended."
        )
    if row.batch_id is not None and not connection.scalar(
        select(_batches.c.ended_at.is_not(None)).where(_batches.c.id == row.batch_id)
    ):
        raise ConflictError(
            f"Job {row.id} is a line of {row.batch_id}, which has not ended: cancel the batch, or "
            "wait until its results are written."
        )
    if row.kept == Kept.NOTHING.value:
        return False
    _delete_contents(connection, [row.id], Kept.NOTHING, now)
    _reduce_deliveries(connection, [row.id])
    return True


def record_fetches(connection: Connection, fetches: Sequence[AnswerFetch]) -> Sequence[bool]:
    """Record when answers of jobs with `store: none` were first sent; False for other jobs.

    They are deleted a little later, because the connection may have failed and the caller may fetch
    again. Lines of a batch stay until the files of the batch are written.
    """
    found = connection.execute(
        select(_jobs.c.id).where(
            *(_jobs.c.id.in_([each.job_id for each in fetches]), _ENDED, _SOMETHING_KEPT),
            *(_jobs.c.store == Store.NONE.value, _jobs.c.batch_id.is_(None)),
        )
    ).scalars()
    ids = set(found)
    if ids:
        first = update(_jobs).where(_jobs.c.id.in_(ids), _jobs.c.fetched_at.is_(None))
        connection.execute(first.values(fetched_at=max(each.now for each in fetches)))
    return [each.job_id in ids for each in fetches]


def has_unkept(connection: Connection) -> bool:
    """Return whether a job has contents that are not to be kept, now or later. Change nothing."""
    query = select(_jobs.c.id).where(_jobs.c.store.is_not(None), _SOMETHING_KEPT).limit(1)
    return connection.execute(query).first() is not None


def delete_unkept(connection: Connection, now: int, fetched_before: int) -> list[str]:
    """Delete contents that ended jobs do not keep, in groups; return the ids of emptied jobs.

    Prompts are deleted soon after the end. A job that keeps nothing is emptied once its answer was
    fetched before `fetched_before`, it was delivered in full, its batch has ended, or a day has
    passed.
    """
    query = select(_jobs.c.id).where(*(_jobs.c.store.is_not(None), _jobs.c.kept.is_(None), _ENDED))
    ids = connection.execute(query.limit(GROUP)).scalars().all()
    _mark(connection, ids, Kept.RESULT)
    _set_payloads(connection, ids, request=b"", caller_body=None)
    delete_readings(connection, ids)
    finished = connection.execute(
        select(_jobs.c.id, _jobs.c.batch_id)
        .where(
            *(_jobs.c.store == Store.NONE.value, _SOMETHING_KEPT, _ENDED),
            or_(
                _jobs.c.fetched_at <= fetched_before,
                _was_delivered(),
                _batch_has_ended(),
                _jobs.c.ended_at <= now - DAY_MS,
            ),
            ~_is_being_delivered(),
        )
        .limit(GROUP)
    ).all()
    gone = [row.id for row in finished]
    _delete_contents(connection, gone, Kept.NOTHING, now + LINK_SECONDS * 1000)
    _reduce_deliveries(connection, gone)
    _expire_batch_files(
        connection, {row.batch_id for row in finished if row.batch_id}, now + DAY_MS
    )
    return gone


def _was_delivered() -> Any:
    full = exists().where(
        _deliveries.c.subject_id == _jobs.c.id,
        _deliveries.c.state == DeliveryState.DELIVERED.value,
        _deliveries.c.is_full.is_(True),
    )
    return _jobs.c.batch_id.is_(None) & full


def _is_being_delivered() -> Any:
    return exists().where(
        _deliveries.c.subject_id == _jobs.c.id,
        _deliveries.c.state.in_(_ON_THEIR_WAY),
        _deliveries.c.is_full.is_(True),
    )


def _batch_has_ended() -> Any:
    return exists().where(_batches.c.id == _jobs.c.batch_id, _batches.c.ended_at.is_not(None))


def delete_old(
    connection: Connection, workspace_id: str, before: int, now: int, *, anonymous: bool = False
) -> bool:
    """Empty a group of a workspace's jobs that ended by `before`, and delete as old files.

    `anonymous` also deletes the end users, sessions and apps of these jobs. Returns whether there
    may be more.
    """
    old = select(_jobs.c.id).where(
        *(_jobs.c.workspace_id == workspace_id, _jobs.c.ended_at <= before),
        *(_ENDED, _SOMETHING_KEPT),
    )
    ids = connection.execute(old.limit(GROUP)).scalars().all()
    _delete_contents(connection, ids, Kept.NOTHING, now)
    _reduce_deliveries(connection, ids)
    if anonymous and ids:
        nobody = dict.fromkeys(("end_user", "session_id", "app"))
        connection.execute(update(_jobs).where(_jobs.c.id.in_(ids)).values(nobody))
    files = select(_files.c.id).where(
        *(_files.c.workspace_id == workspace_id, _files.c.created_at <= before),
        or_(_files.c.expires_at.is_(None), _files.c.expires_at > now),
    )
    expiring = connection.execute(files.limit(GROUP)).scalars().all()
    if expiring:  # the sweep deletes them, unless an open batch still reads them
        connection.execute(update(_files).where(_files.c.id.in_(expiring)).values(expires_at=now))
    return GROUP in (len(ids), len(expiring))


class WorkspaceSettings(NamedTuple):
    """The settings of a workspace, as stored."""

    id: str
    settings: str | None  # JSON object


_SELECT_SETTINGS = select(*columns(WorkspaceSettings, _workspaces))


def list_workspace_settings(connection: Connection) -> Sequence[WorkspaceSettings]:
    """Return the settings of every workspace."""
    return [WorkspaceSettings(*row) for row in connection.execute(_SELECT_SETTINGS)]


def _delete_contents(
    connection: Connection, ids: Collection[str], kept: Kept, files_until: int
) -> None:
    """Delete prompts, answers, event logs and metadata."""
    if not ids:
        return
    _mark(connection, ids, kept)
    replays = update(_prompts).where(_prompts.c.recorded_job_id.in_(ids))
    connection.execute(replays.values(content=DELETED_PROMPT))
    deleted = dict.fromkeys(("caller_body", "response", "events", "extra"))
    _set_payloads(connection, ids, request=b"", **deleted)
    delete_readings(connection, ids)
    connection.execute(
        update(_files).where(_files.c.job_id.in_(ids)).values(expires_at=files_until)
    )


def _mark(connection: Connection, ids: Collection[str], kept: Kept) -> None:
    if ids:
        connection.execute(update(_jobs).where(_jobs.c.id.in_(ids)).values(kept=kept.value))


def _set_payloads(connection: Connection, ids: Collection[str], **values: Any) -> None:
    if ids:
        connection.execute(update(_payloads).where(_payloads.c.job_id.in_(ids)).values(**values))


def _reduce_deliveries(connection: Connection, ids: Collection[str]) -> None:
    """Reduce delivery payloads of these jobs to id and status."""
    if not ids:
        return
    rows = connection.execute(
        select(_deliveries.c.id, _deliveries.c.payload).where(
            _deliveries.c.subject_id.in_(ids), _deliveries.c.is_full.is_(True)
        )
    ).all()
    if rows:
        thin = [{"of_id": row.id, "b": events.reduce_payload(row.payload)} for row in rows]
        connection.execute(_THINNER, thin)


def _expire_batch_files(connection: Connection, batch_ids: Collection[str], at: int) -> None:
    for row in connection.execute(select(_batches).where(_batches.c.id.in_(batch_ids))).all():
        ids = [row.input_file_id, row.output_file_id, row.error_file_id]
        connection.execute(
            update(_files)
            .where(_files.c.id.in_([id_ for id_ in ids if id_]), _files.c.expires_at.is_(None))
            .values(expires_at=at)
        )


def read_settings(row: WorkspaceSettings) -> Json:
    """Return a workspace's settings."""
    settings: Json = orjson.loads(row.settings) if row.settings else {}
    return settings
