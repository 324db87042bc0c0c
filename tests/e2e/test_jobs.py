"""Jobs: submitted for later, looked at, listed, called off."""

import time

import httpx
import pytest
import sqlalchemy

from broker.accounts import create_key, create_workspace
from tests.installation import Installation, chat


def test_a_job_is_accepted_and_answered_later(installation: Installation) -> None:
    accepted = installation.http.post(
        "/jobs", json={"body": chat("sim-echo"), "metadata": {"a": "b"}}
    )
    assert accepted.status_code == 202
    assert accepted.headers["retry-after"]
    told = accepted.json()
    assert accepted.headers["location"] == told["urls"]["self"] == f"/api/v1/jobs/{told['id']}"
    job = installation.await_job(told["id"])
    assert job["status"] == "completed"
    assert job["response"]["choices"][0]["message"]["content"] == "Hello"
    assert job["usage"]["cost"] == job["response"]["usage"]["cost"] > 0
    assert job["metadata"] == {"a": "b"}
    (attempt,) = job["attempts"]
    assert (attempt["number"], attempt["provider"], attempt["outcome"]) == (1, "sim", "ok")
    assert attempt["cost"] == job["usage"]["cost"]
    installation.audit([job["id"]])


def test_a_plain_chat_body_is_a_job_too(installation: Installation) -> None:
    accepted = installation.http.post("/jobs", json=chat("sim-echo"))
    assert accepted.status_code == 202
    assert installation.await_job(accepted.json()["id"])["status"] == "completed"


def test_a_generation_is_there_once_the_call_is_answered(installation: Installation) -> None:
    answer = installation.http.post("/chat/completions", json=chat("sim-echo"))
    told = installation.http.get(
        "/generation", params={"id": answer.headers["x-generation-id"]}
    ).json()
    assert told["data"]["id"] == answer.json()["id"]
    assert told["data"]["job_id"] == answer.headers["x-job-id"]
    assert told["data"]["total_cost"] == answer.json()["usage"]["cost"]
    assert told["data"]["finish_reason"] == "stop"


def test_every_job_is_on_one_page_of_the_list(installation: Installation) -> None:
    mine = {installation.submit("sim-echo", f"page {number}") for number in range(25)}
    seen: list[str] = []
    after = None
    while mine - set(seen):
        page = installation.http.get(
            "/jobs", params={"limit": 10, **({"after": after} if after else {})}
        )
        told = page.json()
        ids = [job["id"] for job in told["data"]]
        assert ids == sorted(ids, reverse=True)
        assert ids, f"{mine - set(seen)} are on no page"
        assert (told["first_id"], told["last_id"]) == (ids[0], ids[-1])
        seen, after = seen + ids, ids[-1]
    assert len(seen) == len(set(seen))


def test_the_list_can_be_filtered(installation: Installation) -> None:
    job_id = installation.submit("sim-echo", not_before=time.time() + 3600)
    told = installation.http.get("/jobs", params={"status": "scheduled"}).json()["data"]
    assert job_id in [job["id"] for job in told]
    assert {job["status"] for job in told} == {"scheduled"}
    installation.http.post(f"/jobs/{job_id}/cancel")


def test_another_workspace_sees_nothing_of_a_job(installation: Installation) -> None:
    job_id = installation.submit("sim-echo")
    engine = sqlalchemy.create_engine(installation.database_url)
    with engine.begin() as connection:
        other = create_workspace(connection, "other", unlimited=True)
        key = create_key(connection, other, "other").key
    engine.dispose()
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=installation.url, headers=headers) as stranger:
        assert stranger.get("/jobs").json()["data"] == []
        assert stranger.get(f"/jobs/{job_id}").status_code == 404
        assert stranger.get(f"/jobs/{job_id}/events").status_code == 404
        assert stranger.post(f"/jobs/{job_id}/cancel").status_code == 404
        installation.await_job(job_id)
        generation = job_id.replace("job_", "gen-")
        assert stranger.get("/generation", params={"id": generation}).status_code == 404
    assert installation.http.get("/generation", params={"id": generation}).status_code == 200


def test_a_waiting_job_is_cancelled_at_once(installation: Installation) -> None:
    prompt = "never to be sent"
    job_id = installation.submit("sim-echo", prompt, not_before=time.time() + 3600)
    cancelled = installation.http.post(f"/jobs/{job_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert (
        installation.http.post(f"/jobs/{job_id}/cancel").status_code == 200
    )  # as often as one likes
    assert installation.calls(prompt)["matching"] == 0
    installation.audit([job_id])


def test_a_running_job_is_cancelled_soon(installation: Installation) -> None:
    job_id = installation.submit("sim-lat20000")
    installation.await_job(job_id, ["running"])
    began = time.monotonic()
    assert installation.http.post(f"/jobs/{job_id}/cancel").status_code == 202
    job = installation.await_job(job_id, seconds=10)
    assert job["status"] == "cancelled"
    assert time.monotonic() - began < 5
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["cancelled"]
    installation.audit([job_id])


def test_an_ended_job_cannot_be_cancelled(installation: Installation) -> None:
    job_id = installation.submit("sim-echo")
    installation.await_job(job_id)
    refused = installation.http.post(f"/jobs/{job_id}/cancel")
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert installation.job(job_id)["status"] == "completed"


def test_a_caller_who_waits_for_a_cancelled_job_is_told(installation: Installation) -> None:
    headers = {"Idempotency-Key": "cancelled under a waiter"}
    body = chat("sim-lat20000", "cancelled under a waiter")
    accepted = installation.http.post(
        "/chat/completions", json=body, headers=headers | {"Prefer": "wait=0.1"}
    )
    job_id = accepted.headers["x-job-id"]
    installation.await_job(job_id, ["running"])
    installation.http.post(f"/jobs/{job_id}/cancel")
    told = installation.http.post("/chat/completions", json=body, headers=headers, timeout=10)
    assert told.status_code == 499
    assert "cancelled" in told.json()["error"]["message"]


def test_a_follower_of_a_job_cancelled_between_attempts_is_told(installation: Installation) -> None:
    """The end of a job that ended in the queue comes after what its attempts have told."""
    job_id = installation.submit("sim-429-retry1800")
    installation.await_job(job_id, ["queued"])
    with installation.http.stream("GET", f"/jobs/{job_id}/events", timeout=8) as answer:
        lines = answer.iter_lines()
        heard = [next(line for line in lines if line.startswith("event")) for _ in range(2)]
        assert heard == ["event: started", "event: retrying"]
        installation.http.post(f"/jobs/{job_id}/cancel")
        assert next(line for line in lines if line.startswith("event")) == "event: cancelled"
    again = installation.http.get(
        f"/jobs/{job_id}/events", headers={"Last-Event-ID": "2"}, timeout=8
    )
    assert "event: cancelled" in again.text


def test_a_job_starts_no_earlier_than_asked(installation: Installation) -> None:
    start = time.time() + 1.5
    job = installation.await_job(installation.submit("sim-echo", not_before=start))
    assert job["status"] == "completed"
    assert job["started_at"] >= int(start)
    assert job["ended_at"] < start + 5


def test_a_deadline_passed_while_waiting(installation: Installation) -> None:
    prompt = "too late"
    job_id = installation.submit(
        "sim-echo", prompt, not_before=time.time() + 60, deadline=time.time() + 0.5
    )
    job = installation.await_job(job_id, seconds=10)
    assert job["status"] == "expired"
    assert "deadline" in job["error"]["message"]
    assert installation.calls(prompt)["matching"] == 0
    installation.audit([job_id])


def test_a_deadline_passed_while_running(installation: Installation) -> None:
    job = installation.await_job(
        installation.submit("sim-lat20000", deadline=time.time() + 1), seconds=10
    )
    assert job["status"] == "expired"
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["unknown"]
    installation.audit([job["id"]])


def test_no_more_attempts_than_allowed(installation: Installation) -> None:
    prompt = "three times"
    job = installation.await_job(installation.submit("sim-500", prompt, max_attempts=3))
    assert job["status"] == "failed"
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["rejected"] * 3
    assert installation.calls(prompt)["matching"] == 3
    installation.audit([job["id"]])


def test_a_job_dearer_than_its_limit_is_refused(installation: Installation) -> None:
    refused = installation.http.post(
        "/jobs", json={"body": chat(max_tokens=1000), "max_cost": 0.0001}
    )
    assert refused.status_code == 400
    assert refused.json()["param"] == "max_cost"
    accepted = installation.http.post(
        "/jobs", json={"body": chat(max_tokens=1000), "max_cost": 0.01}
    )
    assert accepted.status_code == 202


@pytest.mark.parametrize("prefer", ["respond-async", "respond-async, wait=0", "wait=0"])
def test_prefer_to_come_back_later(installation: Installation, prefer: str) -> None:
    answer = installation.http.post(
        "/chat/completions", json=chat("sim-lat200"), headers={"Prefer": prefer}
    )
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == prefer.replace("respond-async, wait=0", prefer)
    assert answer.headers["location"] == answer.json()["urls"]["self"]
    assert answer.headers["retry-after"]
    assert installation.await_job(answer.headers["x-job-id"])["status"] == "completed"


def test_prefer_to_wait_long_enough(installation: Installation) -> None:
    answer = installation.http.post(
        "/chat/completions", json=chat("sim-lat200"), headers={"Prefer": "respond-async, wait=20"}
    )
    assert answer.status_code == 200
    assert answer.json()["object"] == "chat.completion"


def test_prefer_to_wait_too_short(installation: Installation) -> None:
    began = time.monotonic()
    answer = installation.http.post(
        "/chat/completions", json=chat("sim-lat2000"), headers={"Prefer": "wait=0.3"}
    )
    assert answer.status_code == 202
    assert 0.3 <= time.monotonic() - began < 1.5
    assert installation.await_job(answer.headers["x-job-id"])["status"] == "completed"
