"""Requests that were sent and not answered: perhaps billed, so their owner decides."""

from collections.abc import Iterator

import pytest

from tests.e2e.sse import frames
from tests.installation import Installation, chat

SILENT = ["sim-stall", "sim-freeze", "sim-reset"]


@pytest.fixture(scope="module")
def impatient() -> Iterator[Installation]:
    """An installation that waits half a second for a byte."""
    settings = {
        "WAYBILL_FIRST_BYTE_TIMEOUT_SECONDS": "0.6",
        "WAYBILL_IDLE_TIMEOUT_SECONDS": "0.5",
        "WAYBILL_TOTAL_TIMEOUT_SECONDS": "1.5",
        "WAYBILL_SYNC_TIMEOUT_SECONDS": "1.2",
    }
    with Installation(settings) as installation:
        yield installation
        installation.await_idle()
        installation.audit()


@pytest.mark.parametrize("native", SILENT)
def test_retry_tries_again(impatient: Installation, native: str) -> None:
    job_id = impatient.submit(native, "again", on_unknown="retry", max_attempts=2)
    job = impatient.await_job(job_id)
    assert job["status"] == "failed"
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["unknown"] * 2


@pytest.mark.parametrize("native", SILENT)
def test_fail_sends_once_and_gives_the_money_back(impatient: Installation, native: str) -> None:
    prompt = f"fail {native}"
    job = impatient.await_job(impatient.submit(native, prompt, on_unknown="fail"))
    assert job["status"] == "failed"
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["unknown"]
    assert impatient.calls(prompt)["matching"] == 1


@pytest.mark.parametrize("native", SILENT)
def test_hold_waits_for_its_owner(impatient: Installation, native: str) -> None:
    prompt = f"hold {native}"
    job_id = impatient.submit(native, prompt, on_unknown="hold")
    assert impatient.await_job(job_id)["status"] == "needs_review"
    impatient.audit([job_id])  # its hold stands
    answer = impatient.http.post(f"/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert impatient.calls(prompt)["matching"] == 1
    impatient.audit([job_id])


def test_an_unanswered_request_is_no_unknown(impatient: Installation) -> None:
    """A provider that was never reached cannot have billed: `fail` does not stop a retry."""
    body = {"model": "gone/sim", "messages": [{"role": "user", "content": "x"}]}
    wish = {"body": body | {"models": ["sim/sim-echo"]}, "on_unknown": "fail"}
    job = impatient.await_job(impatient.http.post("/jobs", json=wish).json()["id"])
    assert job["status"] == "completed"
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["not_sent", "not_sent", "ok"]


def test_a_slow_answer_that_keeps_coming_is_cut_by_the_total(impatient: Installation) -> None:
    job = impatient.await_job(
        impatient.submit("sim-tok400-chunk50", body={"stream": True}, max_attempts=1)
    )
    assert job["status"] == "failed"
    assert job["attempts"][0]["error_type"] == "timeout"
    assert job["attempts"][0]["duration_ms"] < 3000


def test_a_frozen_stream_is_no_clean_end(impatient: Installation) -> None:
    answer = impatient.http.post("/chat/completions", json=chat("sim-freeze", stream=True))
    first, *_, error, done = frames(answer.text)
    assert error.json["created"] == first.json["created"] > 0
    assert error.json["choices"][0]["finish_reason"] == "error"
    assert error.json["error"]["code"] == 504
    assert done.data == "[DONE]"


def test_a_caller_who_waited_too_long_may_come_back(impatient: Installation) -> None:
    answer = impatient.http.post("/chat/completions", json=chat("sim-stall"))
    assert answer.status_code == 504
    job_id = answer.headers["x-job-id"]
    assert job_id in answer.json()["error"]["message"]
    assert impatient.http.post(f"/jobs/{job_id}/cancel").status_code < 300
    assert impatient.await_job(job_id)["status"] == "cancelled"
