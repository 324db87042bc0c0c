"""An answer that is paid for is written, however long its disk is full."""

import errno
from types import SimpleNamespace

import pytest

from broker.completion import Document, Media
from broker.settings import Settings
from tests.workers.parts import make_recording
from workers.attempt import retry_until_stored

PICTURE = Media("file_01K0000000000000000000000A", "image/png", b"png")
JOB = SimpleNamespace(id="job_1", workspace_id="ws_1")


class Disk:
    """A file store that is full for so many writes."""

    def __init__(self, full):
        self.full = full
        self.saved = []

    def save(self, media):
        if self.full:
            self.full -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        self.saved.append(media)


def save(disk, lease_seconds):
    settings = Settings.model_construct(lease_seconds=lease_seconds)
    recording = make_recording(None, settings, files=disk)
    return recording.save_media(JOB, Document({}, media=[PICTURE]))


async def test_it_is_written_once_there_is_room(monkeypatch):
    monkeypatch.setattr(retry_until_stored, "RETRY_SECONDS", 0)
    disk = Disk(full=3)
    [row] = await save(disk, lease_seconds=60)
    assert disk.saved == [PICTURE]
    assert row.id == PICTURE.id


async def test_it_is_another_workers_once_the_lease_is_over():
    with pytest.raises(OSError, match="No space"):
        await save(Disk(full=1), lease_seconds=-1)
