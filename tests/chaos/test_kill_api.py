"""kill -9 of the API: what it accepted is done, and can be asked for afterwards."""

import pytest

from tests.chaos.load import Reader, await_all, submit_many
from tests.e2e.sse import content, frames
from tests.installation import Installation, chat, until

pytestmark = pytest.mark.chaos


def test_accepted_jobs_outlive_the_api() -> None:
    with Installation() as installation:
        job_ids = submit_many(installation, 100, "sim-lat500")
        reader = Reader(installation, "sim-tok60-chunk50")
        until(lambda: len(reader.frames) > 5, 20, "the stream does not begin")
        api = installation.child("api").pid
        installation.kill("api")
        until(lambda: installation.await_child("api").pid != api, 20, "not started again")
        installation.await_ready()
        reader.join(10)
        assert reader.broken_off, "a cut stream looked like a whole one"
        assert not reader.done
        jobs = await_all(installation, [*job_ids, reader.job_id], 60)
        assert {job["status"] for job in jobs} == {"completed"}
        assert installation.calls()["total"] == 101
        rest = installation.http.get(
            f"/jobs/{reader.job_id}/events",
            headers={"Last-Event-ID": str(reader.frames[-1].number)},
        )
        answer = jobs[-1]["response"]["choices"][0]["message"]["content"]
        assert content(reader.frames + frames(rest.text)) == answer


def test_an_idempotent_call_outlives_the_api() -> None:
    with Installation() as installation:
        body, headers = chat("sim-lat2000", "once"), {"Idempotency-Key": "outlive"}
        accepted = installation.http.post(
            "/chat/completions", json=body, headers=headers | {"Prefer": "respond-async"}
        )
        installation.kill("api")
        installation.await_ready()
        answer = installation.http.post("/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["x-job-id"] == accepted.headers["x-job-id"]
        assert installation.calls("once")["matching"] == 1
        installation.audit()
