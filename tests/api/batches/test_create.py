"""The input of a batch is there as long as the batch: whatever its caller was told."""

import asyncio
import threading

import pytest
from sqlalchemy.exc import OperationalError

from api.batches import create
from broker.batches import BatchEnd, BatchState, end_batch, insert_batch, reports
from broker.clock import now_ms
from broker.errors import UnavailableError
from broker.storage.tables import Batch
from tests.factories import count, write

LINE = {"custom_id": "a", "body": {"messages": [{"role": "user", "content": "hi"}]}}
BATCH = {"model": "acme/small", "requests": [LINE]}


def stored(directory):
    return [each.name for each in (directory / "files").rglob("*") if each.is_file()]


async def test_whoever_is_cut_off_while_a_batch_is_written_leaves_its_input(
    api, tmp_path, monkeypatch
):
    # Given a batch that is being written
    entered, opened = threading.Event(), threading.Event()

    def slowly(connection, new):
        entered.set()
        assert opened.wait(10)
        return insert_batch(connection, new)

    monkeypatch.setattr(create, "insert_batch", slowly)
    asking = asyncio.create_task(api.ask("POST", "/batches", api.key(), json=BATCH))
    await asyncio.to_thread(entered.wait, 10)
    # When its caller goes away, or the server's grace is over
    asking.cancel()
    await asyncio.wait([asking])
    opened.set()
    # Then it is there, with its input
    await api.database.write_grouped(lambda _c, items: items, 1)
    assert count(api.database, Batch) == 1
    assert len(stored(tmp_path)) == 1


async def test_a_batch_whose_answer_fails_keeps_its_input(api, tmp_path, monkeypatch):
    def lost(*_):
        raise UnavailableError("gone")

    monkeypatch.setattr(reports, "find", lost)
    assert (await api.ask("POST", "/batches", api.key(), json=BATCH)).status_code == 503
    assert count(api.database, Batch) == 1
    assert len(stored(tmp_path)) == 1


async def test_nothing_stays_of_a_batch_that_the_database_has_no_room_for(
    api, tmp_path, monkeypatch
):
    def full(*_):
        raise OperationalError("", {}, Exception("database or disk is full"))

    monkeypatch.setattr(create, "insert_batch", full)
    assert (await api.ask("POST", "/batches", api.key(), json=BATCH)).status_code == 507
    assert stored(tmp_path) == []


@pytest.mark.parametrize("more", [{"dry_run": True}, {"completion_window": "1m"}])
async def test_nothing_stays_of_what_became_no_batch(api, tmp_path, more):
    await api.ask("POST", "/batches", api.key(), json=BATCH | more)
    assert count(api.database, Batch) == 0
    assert stored(tmp_path) == []


async def test_a_retry_that_is_asked_for_again_needs_its_lines_no_more(api, tmp_path):
    # Given the retry of a batch
    key = api.key()
    first = (await api.ask("POST", "/batches", key, json=BATCH)).json()
    write(api.database, end_batch, BatchEnd(first["id"], BatchState.FAILED, now_ms()))

    async def again(name, **body):
        headers = {"Idempotency-Key": name}
        return await api.ask(
            "POST", f"/batches/{first['id']}/retry", key, headers=headers, json=body
        )

    made = await again("k")
    assert made.status_code == 202, made.text
    # When the lines it was made of are gone
    [input_file] = [each for each in stored(tmp_path) if each == first["input_file_id"]]
    next((tmp_path / "files").rglob(input_file)).unlink()
    # Then its key still gives it, and another key, or another wish, does not
    replayed = await again("k")
    assert (replayed.status_code, replayed.json()["id"]) == (202, made.json()["id"])
    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert (await again("k", model="other/big")).status_code == 422
    assert (await again("another")).status_code == 409
