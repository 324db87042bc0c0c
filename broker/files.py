"""Large results (images, sound) as files beside the database, which knows what they are."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from broker.completion import Media
from broker.settings import Settings
from broker.tables import StoredFile

_files: Any = StoredFile.__table__  # type: ignore[attr-defined]
_INSERT = insert(_files)


class FileStore:
    """A directory of files named by their ids. All processes of an installation share it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @classmethod
    def of(cls, settings: Settings) -> "FileStore":
        return cls(settings.data_dir / "files")

    def save(self, media: Media) -> None:
        """Write the bytes; once this returns they survive a power cut."""
        path = self._path(media.id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(media.content)
            file.flush()
            os.fsync(file.fileno())

    def read(self, file_id: str) -> bytes:
        """Return the bytes. Raises FileNotFoundError."""
        return self._path(file_id).read_bytes()

    def _path(self, file_id: str) -> Path:
        if not file_id.removeprefix("file_").isalnum():
            raise FileNotFoundError(file_id)
        return self._directory / file_id[-2:] / file_id


def row(media: Media, *, workspace_id: str, job_id: str, now: int) -> dict[str, Any]:
    """Return the columns of `files` for what a job produced."""
    return {
        "id": media.id,
        "workspace_id": workspace_id,
        "job_id": job_id,
        "media_type": media.media_type,
        "bytes": len(media.content),
        "created_at": now,
    }


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record what was saved: in the transaction that records who made it."""
    if rows:
        connection.execute(_INSERT, rows)


def media_type(connection: Connection, file_id: str, workspace_id: str | None) -> str | None:
    """Return a stored file's type, or None; a workspace sees only its own."""
    query = select(_files.c.media_type).where(_files.c.id == file_id)
    if workspace_id is not None:
        query = query.where(_files.c.workspace_id == workspace_id)
    return connection.execute(query).scalar()
