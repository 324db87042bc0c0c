"""kill -9 of the API: what it accepted is done, and can be asked for afterwards."""

import pytest

from tests.chaos.load import Reader, await_all, submit_many
from tests.e2e.sse import content, frames
from tests.house import House, chat, until

pytestmark = pytest.mark.chaos


def test_accepted_jobs_outlive_the_api() -> None:
    with House() as house:
        job_ids = submit_many(house, 100, "sim-lat500")
        reader = Reader(house, "sim-tok60-chunk50")
        until(lambda: len(reader.frames) > 5, 20, "the stream does not begin")
        api = house.child("api").pid
        house.kill("api")
        until(lambda: house.await_child("api").pid != api, 20, "not started again")
        house.await_ready()
        reader.join(10)
        assert reader.broken_off, "a cut stream looked like a whole one"
        assert not reader.done
        jobs = await_all(house, [*job_ids, reader.job_id], 60)
        assert {job["status"] for job in jobs} == {"completed"}
        assert house.calls()["total"] == 101
        rest = house.http.get(
            f"/jobs/{reader.job_id}/events",
            headers={"Last-Event-ID": str(reader.frames[-1].number)},
        )
        answer = jobs[-1]["response"]["choices"][0]["message"]["content"]
        assert content(reader.frames + frames(rest.text)) == answer


def test_an_idempotent_call_outlives_the_api() -> None:
    with House() as house:
        body, headers = chat("sim-lat2000", "once"), {"Idempotency-Key": "outlive"}
        accepted = house.http.post(
            "/chat/completions", json=body, headers=headers | {"Prefer": "respond-async"}
        )
        house.kill("api")
        house.await_ready()
        answer = house.http.post("/chat/completions", json=body, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["x-job-id"] == accepted.headers["x-job-id"]
        assert house.calls("once")["matching"] == 1
        house.audit()
