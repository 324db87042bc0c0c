"""The rows of files: what they are called, what they are for, until when they are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from sqlalchemy import Connection, delete, exists, insert, or_, select

from broker.completion import Media
from broker.storage.tables import Job, StoredFile, table
from broker.storage.tables.files import JOB_OUTPUT

_files = table(StoredFile)
_jobs = table(Job)
_INSERT = insert(_files)

StoredFileRow: TypeAlias = Any  # a row of `files`


class Purpose(StrEnum):
    """What a file is for: OpenAI's words, and one for what answers refer to."""

    BATCH = "batch"
    BATCH_OUTPUT = "batch_output"
    USER_DATA = "user_data"
    VISION = "vision"
    ASSISTANTS = "assistants"
    FINE_TUNE = "fine-tune"
    EVALS = "evals"
    JOB_OUTPUT = JOB_OUTPUT


UPLOADED = tuple(each for each in Purpose if each not in {Purpose.BATCH_OUTPUT, Purpose.JOB_OUTPUT})
"""What a caller may upload a file for."""


@dataclass(frozen=True, slots=True)
class FilePage:
    """Which files of a workspace are asked for; `after` is the last id of the page before."""

    workspace_id: str
    limit: int
    after: str | None = None
    purpose: Purpose | None = None
    oldest_first: bool = False
    api_key_id: str | None = None  # None: of all keys


def media_row(media: Media, *, workspace_id: str, job_id: str, now: int) -> dict[str, Any]:
    """Return the columns of `files` for what a job produced."""
    return new_row(
        media.id, workspace_id, Purpose.JOB_OUTPUT, len(media.content), now,
        job_id=job_id, media_type=media.media_type,
    )  # fmt: skip


def new_row(
    file_id: str, workspace_id: str, purpose: Purpose, size: int, now: int, **more: Any
) -> dict[str, Any]:
    """Return the columns of `files`; `more` are those that not every file has."""
    return {
        "id": file_id,
        "workspace_id": workspace_id,
        "api_key_id": None,
        "job_id": None,
        "purpose": purpose.value,
        "filename": None,
        "media_type": "application/octet-stream",
        "bytes": size,
        "lines": None,
        "problems": None,
        "created_at": now,
        "expires_at": None,
        **more,
    }


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record what was saved: in the transaction that records who made it."""
    if rows:
        connection.execute(_INSERT, rows)


def find(
    connection: Connection,
    file_id: str,
    workspace_id: str | None,
    now: int,
    api_key_id: str | None = None,
) -> StoredFileRow | None:
    """Return a file that has not expired, or None; a workspace, or a key, sees only its own."""
    query = select(_files).where(_files.c.id == file_id)
    if workspace_id is not None:
        query = query.where(_files.c.workspace_id == workspace_id)
    if api_key_id is not None:
        query = query.where(_is_of(api_key_id))
    row = connection.execute(query).first()
    return None if row is None or _is_over(row, now) else row


def page(connection: Connection, wanted: FilePage) -> Sequence[StoredFileRow]:
    """Return files of a workspace, newest first unless asked otherwise."""
    order = _files.c.id if wanted.oldest_first else _files.c.id.desc()
    query = select(_files).where(_files.c.workspace_id == wanted.workspace_id).order_by(order)
    if wanted.api_key_id is not None:
        query = query.where(_is_of(wanted.api_key_id))
    if wanted.after is not None:
        later = _files.c.id > wanted.after if wanted.oldest_first else _files.c.id < wanted.after
        query = query.where(later)
    if wanted.purpose is not None:
        query = query.where(_files.c.purpose == wanted.purpose.value)
    return connection.execute(query.limit(wanted.limit)).all()


def _is_of(api_key_id: str) -> Any:
    """Whether a file belongs to this key, or to a job of it."""
    of_job = exists().where(_jobs.c.id == _files.c.job_id, _jobs.c.api_key_id == api_key_id)
    return or_(_files.c.api_key_id == api_key_id, of_job)


def expired(connection: Connection, now: int, most: int) -> Sequence[str]:
    """Return the ids of files whose time is over."""
    over = select(_files.c.id).where(_files.c.expires_at <= now).limit(most)
    return connection.execute(over).scalars().all()


def remove(connection: Connection, file_ids: Sequence[str]) -> None:
    """Delete rows. Their bytes go after the commit."""
    connection.execute(delete(_files).where(_files.c.id.in_(file_ids)))


def _is_over(row: StoredFileRow, now: int) -> bool:
    return row.expires_at is not None and row.expires_at <= now
