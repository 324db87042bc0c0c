"""The bytes of files, by id: in a directory that all processes share, or in a bucket.

A file appears whole or not at all: who was killed while writing leaves nothing that could be read.
"""

import contextlib
import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import structlog

from broker.completion import Media
from broker.errors import StorageFullError, UnavailableError
from broker.settings import Settings

PIECE = 1 << 18  # bytes read at a time
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

log = structlog.get_logger()


class FileStore(ABC):
    """Bytes by file id. Every method may block: call it in a thread."""

    @abstractmethod
    def writing(self, file_id: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open a file for writing; it is there, and survives a power cut, once this is left.

        Left by an exception, nothing is kept. What had this id before is replaced.
        """

    @abstractmethod
    def reading(self, file_id: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open a file for reading, seekable. Raises FileNotFoundError."""

    @abstractmethod
    def delete(self, file_id: str) -> None:
        """Remove the bytes; quiet where there are none."""

    @abstractmethod
    def tidy(self, before: float) -> None:
        """Remove what was left by who was killed while writing, before this time (Unix seconds)."""

    def save(self, media: Media) -> None:
        """Write what an answer refers to; once this returns it survives a power cut."""
        with self.writing(media.id) as file:
            file.write(media.content)

    def read(self, file_id: str) -> bytes:
        """Return all bytes. Raises FileNotFoundError."""
        with self.reading(file_id) as file:
            return file.read()

    def pieces(self, file_id: str) -> Iterator[bytes]:
        """Yield the bytes a piece at a time. Raises FileNotFoundError."""
        with self.reading(file_id) as file:
            while piece := file.read(PIECE):
                yield piece


class Directory(FileStore):
    """Files in a directory, named by their ids; those that are being written, in one beside."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._drafts = directory / "drafts"

    @contextlib.contextmanager
    def writing(self, file_id: str) -> Iterator[IO[bytes]]:
        path = self._path(file_id)
        draft = self._drafts / path.name
        for parent in (self._drafts, path.parent):
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with draft.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            for parent in (path.parent, self._directory):  # where it is called what it is called
                _sync(parent)
        finally:
            draft.unlink(missing_ok=True)

    @contextlib.contextmanager
    def reading(self, file_id: str) -> Iterator[IO[bytes]]:
        with self._path(file_id).open("rb") as file:
            yield file

    def delete(self, file_id: str) -> None:
        self._path(file_id).unlink(missing_ok=True)

    def tidy(self, before: float) -> None:
        for draft in self._drafts.glob("*"):
            with contextlib.suppress(FileNotFoundError):  # it is whole by now
                if draft.stat().st_mtime < before:
                    draft.unlink()

    def _path(self, file_id: str) -> Path:
        return self._directory / checked(file_id)[-2:] / file_id


class Bucket(FileStore):
    """Objects of any object store that fsspec speaks: such a store has an object whole or not."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        try:
            from fsspec.core import url_to_fs  # an optional extra

            self._files, self._root = url_to_fs(url, **options)
        except ImportError as error:
            raise SystemExit(
                f"waybill: WAYBILL_FILES_URL {url!r} needs a package that is not installed: "
                f"pip install 'waybill-broker[s3]' ({error})"
            ) from None

    @contextlib.contextmanager
    def writing(self, file_id: str) -> Iterator[IO[bytes]]:
        file = self._files.open(self._path(file_id), "wb")
        try:
            yield file
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to report
                file.discard()
                self.delete(file_id)
                file.closed = True  # else its finaliser would finish the upload
            raise
        file.close()

    @contextlib.contextmanager
    def reading(self, file_id: str) -> Iterator[IO[bytes]]:
        with self._files.open(self._path(file_id), "rb") as file:
            yield file

    def delete(self, file_id: str) -> None:
        path = self._path(file_id)
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(path)

    def tidy(self, before: float) -> None:
        """There is nothing: what was not closed is no object."""

    def _path(self, file_id: str) -> str:
        return f"{self._root.rstrip('/')}/{checked(file_id)}"


def _sync(directory: Path) -> None:
    """Have a directory's names survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checked(file_id: str) -> str:
    """Return an id that is a file name and nothing more. Raises FileNotFoundError."""
    if not file_id.removeprefix("file_").isalnum():
        raise FileNotFoundError(file_id)
    return file_id


def refusal(error: OSError) -> UnavailableError:
    """Return the error for a caller whose file could not be stored."""
    log.error("files.not_written", error=str(error))
    if error.errno in FULL:
        return StorageFullError(
            "The file store is full: nothing of this was kept. Delete files that are not needed, "
            "or have its operator make room, and send it again."
        )
    return UnavailableError(
        "The file store does not take files at the moment (the log says why): nothing of this was "
        "kept. Send it again."
    )


def file_store(settings: Settings) -> FileStore:
    """Return the store of this installation: `files_url`, or a directory in `data_dir`."""
    if settings.files_url:
        return Bucket(settings.files_url, settings.files_options)
    return Directory(settings.data_dir / "files")
