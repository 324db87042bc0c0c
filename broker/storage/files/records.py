"""The rows of files: name, purpose, expiry; and the quota of a workspace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection, delete, exists, func, insert, or_, select

from broker.completion import Media
from broker.enums import FilePurpose
from broker.errors import PayloadTooLargeError
from broker.storage.tables import Job, StoredFile, table

_files = table(StoredFile)
_jobs = table(Job)
_INSERT = insert(_files)

StoredFileRow: TypeAlias = Any  # a row of `files`


UPLOADED = tuple(
    each for each in FilePurpose if each not in {FilePurpose.BATCH_OUTPUT, FilePurpose.JOB_OUTPUT}
)
"""The purposes with which a caller may upload a file."""


@dataclass(frozen=True, slots=True)
class FilePage:
    """The files of a workspace to list; `after` is the last id of the page before."""

    workspace_id: str
    limit: int
    after: str | None = None
    purpose: FilePurpose | None = None
    oldest_first: bool = False
    api_key_id: str | None = None  # None: of all keys


def media_row(media: Media, *, workspace_id: str, job_id: str, now: int) -> dict[str, Any]:
    """Return the columns of `files` for what a job produced."""
    return new_row(
        media.id, workspace_id, FilePurpose.JOB_OUTPUT, len(media.content), now,
        job_id=job_id, media_type=media.media_type,
    )  # fmt: skip


def new_row(
    file_id: str, workspace_id: str, purpose: FilePurpose, size: int, now: int, **more: Any
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
    """Return files of a workspace, newest first unless `oldest_first` is set."""
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
    """Return whether a file belongs to this key, or to a job of it."""
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


@dataclass(frozen=True, slots=True)
class Quota:
    """The uploads that a workspace may keep, and their bytes; 0 = no limit."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Upload:
    """The row of an uploaded file, and what its workspace may keep."""

    row: Mapping[str, Any]
    quota: Quota


def check_quota(connection: Connection, workspace_id: str, quota: Quota, size: int = 0) -> None:
    """Raise PayloadTooLargeError where a workspace has no room for one more file."""
    uploaded = [each.value for each in UPLOADED]
    kept, used = connection.execute(
        select(func.count(), func.coalesce(func.sum(_files.c.bytes), 0)).where(
            _files.c.workspace_id == workspace_id, _files.c.purpose.in_(uploaded)
        )
    ).one()
    if quota.files and kept >= quota.files:
        raise PayloadTooLargeError(
            f"The workspace keeps {kept:,} uploaded files, which is its limit "
            "(WAYBILL_WORKSPACE_FILES): delete files that are not needed.",
            param="file",
        )
    if quota.bytes and used + size > quota.bytes:
        raise PayloadTooLargeError(
            f"The uploaded files of the workspace would have {used + size:,} bytes, more than its "
            f"limit of {quota.bytes:,} (WAYBILL_WORKSPACE_FILE_BYTES): delete files that are not "
            "needed.",
            param="file",
        )


def add_upload(connection: Connection, upload: Upload) -> None:
    """Record an upload. Raises PayloadTooLargeError if its workspace has no room for it."""
    row = upload.row
    check_quota(connection, row["workspace_id"], upload.quota, row["bytes"])
    add(connection, [row])
