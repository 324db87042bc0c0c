"""DELETE /jobs/{id}, and waiting for a job's end with `Prefer: wait` on GET."""

import time

import pytest

from tests.e2e.hooks import tenant_of
from tests.installation import Installation, chat

FAR_AHEAD = 24 * 3600


def test_a_deleted_job_keeps_its_cost_and_loses_its_content(installation: Installation) -> None:
    job_id = installation.submit("sim-echo", "a secret prompt", metadata={"who": "ada"})
    before = installation.await_job(job_id)
    assert before["response"] is not None
    answer = installation.http.delete(f"/jobs/{job_id}")
    assert (answer.status_code, answer.json()) == (
        200, {"id": job_id, "object": "job", "deleted": True},
    )  # fmt: skip
    after = installation.job(job_id)
    assert (after["status"], after["kept"]) == ("completed", "nothing")
    assert after["response"] is None
    assert after["metadata"] == {}
    assert after["usage"] == before["usage"]
    stored = installation.ask(
        "SELECT request, response, events FROM job_payloads WHERE job_id = ?", job_id
    )
    assert [bytes(stored[0][0]), *stored[0][1:]] == [b"", None, None]
    # Deleting again changes nothing and is no error: the caller may not have heard the answer
    assert installation.http.delete(f"/jobs/{job_id}").json()["deleted"] is True


def test_the_events_of_a_deleted_stream_are_gone(installation: Installation) -> None:
    answer = installation.http.post("/chat/completions", json=chat("sim-words", stream=True))
    job_id = answer.headers["x-job-id"]
    installation.await_job(job_id)
    installation.http.delete(f"/jobs/{job_id}")
    events = installation.http.get(f"/jobs/{job_id}/events")
    assert "delta" not in events.text


def test_a_job_that_has_not_ended_is_not_deleted(installation: Installation) -> None:
    job_id = installation.submit(not_before=time.time() + FAR_AHEAD)
    answer = installation.http.delete(f"/jobs/{job_id}")
    assert answer.status_code == 409
    assert "cancel it" in answer.json()["detail"]
    installation.http.post(f"/jobs/{job_id}/cancel")
    assert installation.http.delete(f"/jobs/{job_id}").status_code == 200


def test_a_job_of_another_workspace_is_unknown(installation: Installation) -> None:
    job_id = installation.submit()
    installation.await_job(job_id)
    with tenant_of(installation, "deleting") as tenant:
        answer = tenant.http.delete(f"/jobs/{job_id}")
    assert answer.status_code == 404
    assert installation.job(job_id)["response"] is not None


@pytest.mark.parametrize("native", ["sim-lat500", "sim-400"])
def test_a_look_at_a_job_can_wait_for_its_end(installation: Installation, native: str) -> None:
    job_id = installation.submit(native)
    answer = installation.http.get(f"/jobs/{job_id}", headers={"Prefer": "wait=30"})
    assert answer.headers["preference-applied"] == "wait=30"
    assert answer.json()["status"] in {"completed", "failed"}


def test_a_look_waits_no_longer_than_asked(installation: Installation) -> None:
    job_id = installation.submit(not_before=time.time() + FAR_AHEAD)
    began = time.monotonic()
    answer = installation.http.get(f"/jobs/{job_id}", headers={"Prefer": "wait=0.3"})
    assert 0.3 <= time.monotonic() - began < 10
    assert (answer.status_code, answer.json()["status"]) == (200, "scheduled")
    installation.http.post(f"/jobs/{job_id}/cancel")
