"""A call that waits for its job, which ends in the database without an event."""

import asyncio

import pytest
from sqlalchemy import select
from starlette.requests import Request

from api.jobs.streaming import ChunkStream, chunk_response
from broker.clock import now_ms
from broker.completion import AttemptOutcome, ErrorType
from broker.enums import JobState
from broker.lifecycle.retries import GiveUp
from broker.storage.tables import Job
from tests.api.conftest import running, settings_for
from tests.factories import claim_one, failed, failure, finished, record

BODY = {"model": "acme/small", "messages": [{"role": "user", "content": "hi"}]}


async def await_job(database):
    """Wait until a job is written; return its id."""
    async with asyncio.timeout(20):
        while True:
            ids = await database.read(lambda c: c.execute(select(Job.id)).scalars().all())
            if ids:
                return ids[0]
            await asyncio.sleep(0.01)


async def answer_call(api, end, **details):
    """Make a call, let `end` end its job, and return the job's id and the response."""
    call = asyncio.create_task(api.ask("POST", "/chat/completions", api.key(), **details))
    job_id = await await_job(api.database)
    end(api.database, job_id)
    async with asyncio.timeout(20):
        return job_id, await call


def complete(database, job_id):
    record(database, finished(claim_one(database, job_id, now=now_ms())))


def refuse(database, job_id):
    why = failure(AttemptOutcome.REJECTED, ErrorType.CONTEXT_LENGTH_EXCEEDED)
    record(database, failed(claim_one(database, job_id, now=now_ms()), why=why, decision=GiveUp()))


async def test_the_answer_is_returned_with_the_ids_of_job_and_generation(api):
    job_id, response = await answer_call(api, complete, json=BODY)
    assert (response.status_code, response.json()) == (200, {"answer": 1})
    assert response.headers["x-job-id"] == job_id
    assert response.headers["x-generation-id"].startswith("gen-")


async def test_a_failed_job_is_an_error_with_the_status_of_its_type(api):
    job_id, response = await answer_call(api, refuse, json=BODY)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["metadata"]["error_type"] == "context_length_exceeded"
    assert error["metadata"]["job_id"] == job_id


async def test_a_second_call_with_the_key_waits_for_the_same_job(api):
    key, headers = api.key(), {"Idempotency-Key": "k"}
    calls = [
        asyncio.create_task(api.ask("POST", "/chat/completions", key, json=BODY, headers=headers))
        for _ in range(2)
    ]
    job_id = await await_job(api.database)
    complete(api.database, job_id)
    async with asyncio.timeout(20):
        responses = await asyncio.gather(*calls)
    assert {response.headers["x-job-id"] for response in responses} == {job_id}
    assert [response.status_code for response in responses] == [200, 200]
    replays = [response.headers.get("idempotent-replayed") for response in responses]
    assert sorted(map(str, replays)) == ["None", "true"]


@pytest.fixture
async def impatient(database_url, tmp_path):
    """An API that lets a call wait for a moment only."""
    settings = settings_for(tmp_path, database_url=database_url, sync_timeout_seconds=1)
    async with running(settings) as api:
        yield api


async def test_a_call_that_waits_too_long_is_directed_to_its_job(impatient):
    response = await impatient.ask("POST", "/chat/completions", impatient.key(), json=BODY)
    job_id = response.headers["x-job-id"]
    assert response.status_code == 504
    assert response.headers["location"] == f"/api/v1/jobs/{job_id}"
    assert int(response.headers["retry-after"]) >= 1
    job = await impatient.ask("GET", f"/jobs/{job_id}")
    assert job.json()["status"] == JobState.QUEUED.value


async def test_a_caller_who_prefers_not_to_wait_gets_the_job(api):
    response = await api.ask(
        "POST", "/chat/completions", api.key(), json=BODY, headers={"Prefer": "respond-async"}
    )
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/v1/jobs/{response.headers['x-job-id']}"
    assert response.headers["preference-applied"] == "respond-async"


async def test_a_caller_who_leaves_before_the_first_chunk_is_noticed_at_once():
    left = asyncio.Event()

    async def receive():
        return {"type": "http.disconnect"}

    async def wait_forever():
        await asyncio.Event().wait()
        yield []

    async def note():
        left.set()

    stream = ChunkStream("job_1", "a/b", 0)
    request = Request({"type": "http", "headers": []}, receive)
    answering = chunk_response(
        request, wait_forever(), stream, keep_alive=60, headers={}, on_gone=note
    )
    await asyncio.wait_for(answering, timeout=5)
    assert left.is_set()
