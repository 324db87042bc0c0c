import contextlib
import os

import pytest

from broker.completion import Media
from broker.settings import Settings
from broker.storage.files import file_store

ID = "file_01K0000000000000000000000A"
OTHER = "file_01K0000000000000000000000B"


@pytest.fixture(params=["directory", "bucket"])
def store(request, tmp_path):
    url = "" if request.param == "directory" else f"memory://{tmp_path.name}"
    return file_store(Settings(data_dir=tmp_path, files_url=url))


def test_a_file_comes_back_from_anywhere_in_it(store):
    with store.writing(ID) as file:
        file.write(b"first ")
        file.write(b"second")
    assert store.read(ID) == b"first second"
    assert b"".join(store.pieces(ID)) == b"first second"
    with store.reading(ID) as file:
        file.seek(6)
        assert file.read() == b"second"


def test_a_file_is_there_once_it_is_whole(tmp_path):
    directory = file_store(Settings(data_dir=tmp_path))
    with directory.writing(ID) as file:
        file.write(b"half")
        with pytest.raises(FileNotFoundError):
            directory.read(ID)
    assert directory.read(ID) == b"half"


def test_the_name_of_a_file_survives_a_power_cut_too(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    with file_store(Settings(data_dir=tmp_path)).writing(ID) as file:
        file.write(b"whole")
    [path] = (tmp_path / "files").rglob(ID)
    names = [path, path.parent, path.parent.parent]
    assert synced == [each.stat().st_ino for each in names]


def test_what_was_left_by_a_killed_writer_goes_after_a_while(tmp_path):
    store = file_store(Settings(data_dir=tmp_path))
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as killed:
        for file_id, written_at in ((ID, 100), (OTHER, 200)):
            killed.enter_context(store.writing(file_id)).write(b"half")
            os.utime(tmp_path / "files" / "drafts" / file_id, (written_at, written_at))
        store.tidy(before=150)
        assert [each.name for each in (tmp_path / "files").rglob("file_*")] == [OTHER]
        raise KeyboardInterrupt


def test_what_was_left_by_an_error_is_not_kept(store):
    with contextlib.suppress(KeyboardInterrupt), store.writing(ID) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    with pytest.raises(FileNotFoundError):
        store.read(ID)


def test_a_file_written_again_is_replaced(store):
    for content in (b"a longer one", b"short"):
        store.save(Media(ID, "text/plain", content))
    assert store.read(ID) == b"short"


def test_deleting_twice_is_no_error(store):
    store.save(Media(ID, "text/plain", b"x"))
    store.delete(ID)
    store.delete(ID)
    with pytest.raises(FileNotFoundError):
        store.read(ID)


@pytest.mark.parametrize("name", ["../secret", "file_../x", "file_", "a/b", ""])
def test_a_name_that_is_no_id_is_no_file(store, name):
    for ask in (store.read, store.delete):
        with pytest.raises(FileNotFoundError):
            ask(name)


def test_a_store_whose_package_is_missing_says_which(tmp_path):
    with pytest.raises(SystemExit) as told:
        file_store(Settings(data_dir=tmp_path, files_url="abfs://container"))
    assert "waybill-broker[s3]" in str(told.value)
