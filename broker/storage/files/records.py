"""The rows of files: name, purpose, expiry; and the quota of a workspace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, or_, select

from broker.completion import Media
from broker.enums import FilePurpose
from broker.errors import PayloadTooLargeError
from broker.storage.tables import Job, StoredFile, columns, table

_files = table(StoredFile)
_jobs = table(Job)
_INSERT = insert(_files)


class FileRow(NamedTuple):
    """A row of `files`. Times are Unix milliseconds."""

    id: str
    workspace_id: str
    purpose: FilePurpose
    bytes: int
    created_at: int
    media_type: str = "application/octet-stream"
    api_key_id: str | None = None  # the key that uploaded it
    job_id: str | None = None  # the job whose answer contains it
    filename: str | None = None
    lines: int | None = None  # requests in the input of a batch
    problems: str | None = None  # JSON: the problems of that input
    expires_at: int | None = None


_SELECT = select(*columns(FileRow, _files))

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


def media_row(media: Media, *, workspace_id: str, job_id: str, now: int) -> FileRow:
    """Return the row of an image or audio that a job produced."""
    return FileRow(
        media.id, workspace_id, FilePurpose.JOB_OUTPUT, len(media.content), now,
        job_id=job_id, media_type=media.media_type,
    )  # fmt: skip


def add(connection: Connection, rows: Sequence[FileRow]) -> None:
    """Insert the rows of files whose bytes are stored already."""
    if rows:
        connection.execute(_INSERT, [row._asdict() for row in rows])


def find(
    connection: Connection,
    file_id: str,
    workspace_id: str | None,
    now: int,
    api_key_id: str | None = None,
) -> FileRow | None:
    """Return a file that has not expired, or None.

    With `workspace_id` and `api_key_id`, only a file of this workspace and key is found.
    """
    query = _SELECT.where(_files.c.id == file_id)
    if workspace_id is not None:
        query = query.where(_files.c.workspace_id == workspace_id)
    if api_key_id is not None:
        query = query.where(_is_of(api_key_id))
    found = connection.execute(query).first()
    row = None if found is None else FileRow(*found)
    return None if row is None or _has_expired(row, now) else row


def page(connection: Connection, wanted: FilePage) -> Sequence[FileRow]:
    """Return files of a workspace, newest first unless `oldest_first` is set."""
    order = _files.c.id if wanted.oldest_first else _files.c.id.desc()
    query = _SELECT.where(_files.c.workspace_id == wanted.workspace_id).order_by(order)
    if wanted.api_key_id is not None:
        query = query.where(_is_of(wanted.api_key_id))
    if wanted.after is not None:
        later = _files.c.id > wanted.after if wanted.oldest_first else _files.c.id < wanted.after
        query = query.where(later)
    if wanted.purpose is not None:
        query = query.where(_files.c.purpose == wanted.purpose)
    return [FileRow(*row) for row in connection.execute(query.limit(wanted.limit))]


def _is_of(api_key_id: str) -> ColumnElement[bool]:
    """Return whether a file belongs to this key, or to a job of it."""
    of_job = exists().where(_jobs.c.id == _files.c.job_id, _jobs.c.api_key_id == api_key_id)
    return or_(_files.c.api_key_id == api_key_id, of_job)


def list_expired(connection: Connection, now: int, limit: int) -> Sequence[str]:
    """Return the ids of up to `limit` files that have expired."""
    query = select(_files.c.id).where(_files.c.expires_at <= now).limit(limit)
    return connection.execute(query).scalars().all()


def remove(connection: Connection, file_ids: Sequence[str]) -> None:
    """Delete rows. The caller deletes the bytes after the commit."""
    connection.execute(delete(_files).where(_files.c.id.in_(file_ids)))


def _has_expired(row: FileRow, now: int) -> bool:
    return row.expires_at is not None and row.expires_at <= now


@dataclass(frozen=True, slots=True)
class Quota:
    """The uploads that a workspace may keep, and their bytes; 0 = no limit."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Upload:
    """The row of an uploaded file, and what its workspace may keep."""

    row: FileRow
    quota: Quota


def check_quota(connection: Connection, workspace_id: str, quota: Quota, size: int = 0) -> None:
    """Raise PayloadTooLargeError if another file of `size` bytes exceeds a workspace's quota."""
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
    check_quota(connection, row.workspace_id, upload.quota, row.bytes)
    add(connection, [row])
