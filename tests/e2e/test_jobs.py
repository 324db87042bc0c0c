"""Jobs: submitted for later, looked at, listed, called off."""

import time

import httpx
import pytest
import sqlalchemy

from broker.accounts import create_key, create_workspace
from tests.house import House, chat


def test_a_job_is_accepted_and_answered_later(house: House) -> None:
    accepted = house.http.post("/jobs", json={"body": chat("sim-echo"), "metadata": {"a": "b"}})
    assert accepted.status_code == 202
    assert accepted.headers["retry-after"]
    told = accepted.json()
    assert accepted.headers["location"] == told["urls"]["self"] == f"/api/v1/jobs/{told['id']}"
    job = house.await_job(told["id"])
    assert job["status"] == "completed"
    assert job["response"]["choices"][0]["message"]["content"] == "Hello"
    assert job["usage"]["cost"] == job["response"]["usage"]["cost"] > 0
    assert job["metadata"] == {"a": "b"}
    (attempt,) = job["attempts"]
    assert (attempt["number"], attempt["provider"], attempt["outcome"]) == (1, "sim", "ok")
    assert attempt["cost"] == job["usage"]["cost"]
    house.audit([job["id"]])


def test_a_plain_chat_body_is_a_job_too(house: House) -> None:
    accepted = house.http.post("/jobs", json=chat("sim-echo"))
    assert accepted.status_code == 202
    assert house.await_job(accepted.json()["id"])["status"] == "completed"


def test_a_generation_is_there_once_the_call_is_answered(house: House) -> None:
    answer = house.http.post("/chat/completions", json=chat("sim-echo"))
    told = house.http.get("/generation", params={"id": answer.headers["x-generation-id"]}).json()
    assert told["data"]["id"] == answer.json()["id"]
    assert told["data"]["job_id"] == answer.headers["x-job-id"]
    assert told["data"]["total_cost"] == answer.json()["usage"]["cost"]
    assert told["data"]["finish_reason"] == "stop"


def test_every_job_is_on_one_page_of_the_list(house: House) -> None:
    mine = {house.submit("sim-echo", f"page {number}") for number in range(25)}
    seen: list[str] = []
    after = None
    while mine - set(seen):
        page = house.http.get("/jobs", params={"limit": 10, **({"after": after} if after else {})})
        told = page.json()
        ids = [job["id"] for job in told["data"]]
        assert ids == sorted(ids, reverse=True)
        assert ids, f"{mine - set(seen)} are on no page"
        assert (told["first_id"], told["last_id"]) == (ids[0], ids[-1])
        seen, after = seen + ids, ids[-1]
    assert len(seen) == len(set(seen))


def test_the_list_can_be_filtered(house: House) -> None:
    job_id = house.submit("sim-echo", not_before=time.time() + 3600)
    told = house.http.get("/jobs", params={"status": "scheduled"}).json()["data"]
    assert job_id in [job["id"] for job in told]
    assert {job["status"] for job in told} == {"scheduled"}
    house.http.post(f"/jobs/{job_id}/cancel")


def test_another_workspace_sees_nothing_of_a_job(house: House) -> None:
    job_id = house.submit("sim-echo")
    engine = sqlalchemy.create_engine(house.database_url)
    with engine.begin() as connection:
        other = create_workspace(connection, "other", unlimited=True)
        key = create_key(connection, other, "other").key
    engine.dispose()
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=house.url, headers=headers) as stranger:
        assert stranger.get("/jobs").json()["data"] == []
        assert stranger.get(f"/jobs/{job_id}").status_code == 404
        assert stranger.get(f"/jobs/{job_id}/events").status_code == 404
        assert stranger.post(f"/jobs/{job_id}/cancel").status_code == 404
        house.await_job(job_id)
        generation = job_id.replace("job_", "gen-")
        assert stranger.get("/generation", params={"id": generation}).status_code == 404
    assert house.http.get("/generation", params={"id": generation}).status_code == 200


def test_a_waiting_job_is_cancelled_at_once(house: House) -> None:
    prompt = "never to be sent"
    job_id = house.submit("sim-echo", prompt, not_before=time.time() + 3600)
    cancelled = house.http.post(f"/jobs/{job_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert house.http.post(f"/jobs/{job_id}/cancel").status_code == 200  # as often as one likes
    assert house.calls(prompt)["matching"] == 0
    house.audit([job_id])


def test_a_running_job_is_cancelled_soon(house: House) -> None:
    job_id = house.submit("sim-lat20000")
    house.await_job(job_id, ["running"])
    began = time.monotonic()
    assert house.http.post(f"/jobs/{job_id}/cancel").status_code == 202
    job = house.await_job(job_id, seconds=10)
    assert job["status"] == "cancelled"
    assert time.monotonic() - began < 5
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["cancelled"]
    house.audit([job_id])


def test_an_ended_job_cannot_be_cancelled(house: House) -> None:
    job_id = house.submit("sim-echo")
    house.await_job(job_id)
    refused = house.http.post(f"/jobs/{job_id}/cancel")
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert house.job(job_id)["status"] == "completed"


def test_a_caller_who_waits_for_a_cancelled_job_is_told(house: House) -> None:
    headers = {"Idempotency-Key": "cancelled under a waiter"}
    body = chat("sim-lat20000", "cancelled under a waiter")
    accepted = house.http.post(
        "/chat/completions", json=body, headers=headers | {"Prefer": "wait=0.1"}
    )
    job_id = accepted.headers["x-job-id"]
    house.await_job(job_id, ["running"])
    house.http.post(f"/jobs/{job_id}/cancel")
    told = house.http.post("/chat/completions", json=body, headers=headers, timeout=10)
    assert told.status_code == 499
    assert "cancelled" in told.json()["error"]["message"]


def test_a_follower_of_a_job_cancelled_between_attempts_is_told(house: House) -> None:
    """The end of a job that ended in the queue comes after what its attempts have told."""
    job_id = house.submit("sim-429-retry1800")
    house.await_job(job_id, ["queued"])
    with house.http.stream("GET", f"/jobs/{job_id}/events", timeout=8) as answer:
        lines = answer.iter_lines()
        heard = [next(line for line in lines if line.startswith("event")) for _ in range(2)]
        assert heard == ["event: started", "event: retrying"]
        house.http.post(f"/jobs/{job_id}/cancel")
        assert next(line for line in lines if line.startswith("event")) == "event: cancelled"
    again = house.http.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": "2"}, timeout=8)
    assert "event: cancelled" in again.text


def test_a_job_starts_no_earlier_than_asked(house: House) -> None:
    start = time.time() + 1.5
    job = house.await_job(house.submit("sim-echo", not_before=start))
    assert job["status"] == "completed"
    assert job["started_at"] >= int(start)
    assert job["ended_at"] < start + 5


def test_a_deadline_passed_while_waiting(house: House) -> None:
    prompt = "too late"
    job_id = house.submit(
        "sim-echo", prompt, not_before=time.time() + 60, deadline=time.time() + 0.5
    )
    job = house.await_job(job_id, seconds=10)
    assert job["status"] == "expired"
    assert "deadline" in job["error"]["message"]
    assert house.calls(prompt)["matching"] == 0
    house.audit([job_id])


def test_a_deadline_passed_while_running(house: House) -> None:
    job = house.await_job(house.submit("sim-lat20000", deadline=time.time() + 1), seconds=10)
    assert job["status"] == "expired"
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["unknown"]
    house.audit([job["id"]])


def test_no_more_attempts_than_allowed(house: House) -> None:
    prompt = "three times"
    job = house.await_job(house.submit("sim-500", prompt, max_attempts=3))
    assert job["status"] == "failed"
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["rejected"] * 3
    assert house.calls(prompt)["matching"] == 3
    house.audit([job["id"]])


def test_a_job_dearer_than_its_limit_is_refused(house: House) -> None:
    refused = house.http.post("/jobs", json={"body": chat(max_tokens=1000), "max_cost": 0.0001})
    assert refused.status_code == 400
    assert refused.json()["param"] == "max_cost"
    accepted = house.http.post("/jobs", json={"body": chat(max_tokens=1000), "max_cost": 0.01})
    assert accepted.status_code == 202


@pytest.mark.parametrize("prefer", ["respond-async", "respond-async, wait=0", "wait=0"])
def test_prefer_to_come_back_later(house: House, prefer: str) -> None:
    answer = house.http.post(
        "/chat/completions", json=chat("sim-lat200"), headers={"Prefer": prefer}
    )
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == prefer.replace("respond-async, wait=0", prefer)
    assert answer.headers["location"] == answer.json()["urls"]["self"]
    assert answer.headers["retry-after"]
    assert house.await_job(answer.headers["x-job-id"])["status"] == "completed"


def test_prefer_to_wait_long_enough(house: House) -> None:
    answer = house.http.post(
        "/chat/completions", json=chat("sim-lat200"), headers={"Prefer": "respond-async, wait=20"}
    )
    assert answer.status_code == 200
    assert answer.json()["object"] == "chat.completion"


def test_prefer_to_wait_too_short(house: House) -> None:
    began = time.monotonic()
    answer = house.http.post(
        "/chat/completions", json=chat("sim-lat2000"), headers={"Prefer": "wait=0.3"}
    )
    assert answer.status_code == 202
    assert 0.3 <= time.monotonic() - began < 1.5
    assert house.await_job(answer.headers["x-job-id"])["status"] == "completed"
