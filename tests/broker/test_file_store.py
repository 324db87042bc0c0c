import contextlib

import pytest

from broker.completion import Media
from broker.files import file_store
from broker.settings import Settings

ID = "file_01K0000000000000000000000A"


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
