import pytest

from broker import batches
from broker.batches import BatchEnd, BatchOptions, BatchState, new_batch
from broker.batches.creation import delete_files_many
from broker.batches.options import MAX_BYTES, MAX_LINES, window_ms
from broker.enums import FilePurpose
from broker.errors import IdempotencyMismatchError, InvalidRequestError
from broker.requests.operations import Operation
from broker.storage.tables import Batch, StoredFile
from tests.broker.batches.factories import make_file
from tests.factories import NOW, count, make_principal, run, write


def create(database, caller, file_id, **wish):
    new = new_batch(BatchOptions(Operation.CHAT, **wish), caller, NOW, input_file_id=file_id)
    return write(database, batches.insert_batch, new)


def test_a_key_gives_the_earlier_batch(database, caller):
    file_id = make_file(database, caller)
    first = create(database, caller, file_id, idempotency_key="k")
    again = create(database, caller, file_id, idempotency_key="k")
    assert (again.batch_id, again.replayed, count(database, Batch)) == (first.batch_id, True, 1)
    with pytest.raises(IdempotencyMismatchError):
        create(database, caller, file_id, idempotency_key="k", priority=3)


def test_a_key_of_another_workspace_is_another_key(database, caller):
    stranger = make_principal(database)
    create(database, caller, make_file(database, caller), idempotency_key="k")
    created = create(database, stranger, make_file(database, stranger), idempotency_key="k")
    assert created.replayed is False


@pytest.mark.parametrize(
    ("file", "word"),
    [
        ({"lines": MAX_LINES + 1}, "50,000"),
        ({"size": MAX_BYTES + 1}, "200,000,000"),
        ({"lines": 0, "size": 5}, "no request"),
        ({"expires_at": NOW}, "no such file"),
        ({"purpose": FilePurpose.USER_DATA}, "purpose"),
    ],
)
def test_a_file_that_cannot_be_an_input_is_refused(database, caller, file, word):
    with pytest.raises(InvalidRequestError) as refused:
        create(database, caller, make_file(database, caller, **file))
    assert refused.value.param == "input_file_id"
    assert word in refused.value.message
    assert count(database, Batch) == 0


def test_a_file_of_another_workspace_is_not_there(database, caller):
    file_id = make_file(database, make_principal(database))
    with pytest.raises(InvalidRequestError):
        create(database, caller, file_id)


@pytest.mark.parametrize(("text", "minutes"), [("15m", 15), ("24h", 1440), ("7d", 10080)])
def test_windows(text, minutes):
    assert window_ms(text) == minutes * 60_000


@pytest.mark.parametrize("text", ["14m", "8d", "24", "h", "-1h", "24H", "1h30m", "", "99999999d"])
def test_windows_that_are_refused(text):
    with pytest.raises(InvalidRequestError) as refused:
        window_ms(text)
    assert refused.value.param == "completion_window"


def test_a_file_stays_as_long_as_a_batch_reads_it(database, caller):
    # Given two files, one of which a batch reads
    read, other = make_file(database, caller), make_file(database, caller)
    batch_id = create(database, caller, read).batch_id
    # When both are to be deleted, then the other is, and is no input any more
    with database.transaction() as connection:
        assert delete_files_many(connection, [read, other]) == [False, True]
    with pytest.raises(InvalidRequestError):
        create(database, caller, other)
    # And once the batch has ended, so may its own be
    write(database, batches.end_batch, BatchEnd(batch_id, BatchState.FAILED, NOW))
    assert run(database, delete_files_many, read) == [True]
    assert count(database, StoredFile) == 0
