"""Limit the uploads that a workspace keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from broker.errors import PayloadTooLargeError
from broker.storage.files.records import UPLOADED, add
from broker.storage.tables import StoredFile, table

_files = table(StoredFile)


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


def add_uploads_many(
    connection: Connection, uploads: Sequence[Upload]
) -> Sequence[PayloadTooLargeError | None]:
    """Record uploads, each only where its workspace has room for it."""
    results: list[PayloadTooLargeError | None] = []
    for upload in uploads:
        row = upload.row
        try:
            check_quota(connection, row["workspace_id"], upload.quota, row["bytes"])
        except PayloadTooLargeError as refusal:
            results.append(refusal)
        else:
            add(connection, [row])
            results.append(None)
    return results
