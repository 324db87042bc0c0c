"""A provider's faults lead to a retry, a fallback or a clear error."""

import time

import psutil
import pytest
from starlette.requests import Request

from api.jobs import responses
from tests.installation import Installation, chat

MEGABYTE = 1024 * 1024


def outcomes(job: dict) -> list[tuple[str, str, int | None]]:
    return [(each["provider"], each["outcome"], each["http_status"]) for each in job["attempts"]]


def test_two_failures_then_success(installation: Installation) -> None:
    answer = installation.http.post("/chat/completions", json=chat("sim-fail2", "third time lucky"))
    assert answer.status_code == 200
    job = installation.job(answer.headers["x-job-id"])
    assert outcomes(job) == [("sim", "rejected", 500)] * 2 + [("sim", "ok", 200)]
    assert installation.calls("third time lucky")["matching"] == 3
    installation.audit([job["id"]])


def test_retry_after_is_honoured(installation: Installation) -> None:
    began = time.monotonic()
    job = installation.await_job(installation.submit("sim-429-retry1", max_attempts=2))
    assert time.monotonic() - began >= 1
    assert job["status"] == "failed"
    assert outcomes(job) == [("sim", "rejected", 429)] * 2
    assert job["attempts"][1]["started_at"] - job["attempts"][0]["started_at"] >= 1
    assert job["error"]["error_type"] == "rate_limit_exceeded"
    installation.audit([job["id"]])


def test_a_caller_is_told_how_long_to_wait(installation: Installation) -> None:
    job_id = installation.submit("sim-429-retry3600", deadline=time.time() + 60)
    assert installation.await_job(job_id)["error"]["retry_after"] == 3600


def test_a_failed_calls_answer_says_how_long_the_provider_wants() -> None:  # litellm 27823
    error = {"error_type": "rate_limit_exceeded", "message": "Slow down.", "retry_after": 3599.2}
    scope = {"type": "http", "path": "/v1/chat/completions", "headers": [], "query_string": b""}
    answer = responses.failed_response(
        Request(scope), "job_1", {"status": "failed", "error": error}
    )
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "3600"


@pytest.mark.parametrize(
    "spelling",
    [
        {"models": ["spare/sim-echo"]},
        {"route": {"fallbacks": ["spare/sim-echo"]}},
    ],
    ids=["models", "route.fallbacks"],
)
def test_the_next_model_answers(installation: Installation, spelling: dict) -> None:
    answer = installation.http.post(
        "/chat/completions", json=chat("sim-401", "elsewhere") | spelling
    )
    assert answer.status_code == 200
    assert answer.json()["model"] == "spare/sim-echo"
    job = installation.job(answer.headers["x-job-id"])
    assert outcomes(job) == [("sim", "rejected", 401), ("spare", "ok", 200)]
    assert [place["provider"] for place in job["plan"]] == ["sim", "spare"]
    installation.audit([job["id"]])


def test_a_misspelt_fallback_is_named_before_anything_is_stored(installation: Installation) -> None:
    body = chat("sim") | {"models": ["nobody/serves-this", "spare/sim-echo"]}
    answer = installation.http.post("/chat/completions", json=body)
    assert answer.status_code == 404
    assert "nobody/serves-this" in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"] == "models"


def test_a_request_that_is_too_long_goes_to_another_model(installation: Installation) -> None:
    body = chat("sim-context") | {"models": ["spare/sim-echo"]}
    answer = installation.http.post("/chat/completions", json=body)
    assert answer.status_code == 200
    assert len(installation.job(answer.headers["x-job-id"])["attempts"]) == 2


def test_a_stream_falls_back_before_its_first_token(installation: Installation) -> None:
    body = chat("sim-503", stream=True) | {"models": ["spare/sim-echo"]}
    answer = installation.http.post("/chat/completions", json=body)
    assert answer.status_code == 200
    assert "[DONE]" in answer.text
    assert '"error"' not in answer.text
    assert "spare/sim-echo" in answer.text


def test_a_provider_that_is_not_there(installation: Installation) -> None:
    body = {"model": "gone/sim", "messages": [{"role": "user", "content": "hello?"}]}
    accepted = installation.http.post("/jobs", json={"body": body, "max_attempts": 2})
    job = installation.await_job(accepted.json()["id"])
    assert job["status"] == "failed"
    assert outcomes(job) == [("gone", "not_sent", None)] * 2
    assert "gone could not be reached" in job["error"]["message"]
    installation.audit([job["id"]])


def test_our_bad_key_at_a_provider_is_not_the_callers_fault(installation: Installation) -> None:
    answer = installation.http.post("/chat/completions", json=chat("sim-401"))
    assert answer.status_code == 502
    assert answer.json()["error"]["metadata"]["provider_name"] == "sim"


@pytest.mark.parametrize("native", ["sim-reset", "sim-cut", "sim-garbage", "sim-half"])
@pytest.mark.parametrize("stream", [False, True])
def test_broken_answers_end_in_a_clear_error(
    installation: Installation, native: str, stream: bool
) -> None:
    worker = installation.child("worker").pid
    body = {"body": chat(native, f"broken {stream}", stream=stream), "max_attempts": 2}
    job = installation.await_job(installation.http.post("/jobs", json=body).json()["id"])
    assert job["status"] == "failed"
    assert {outcome for _, outcome, _ in outcomes(job)} == {"unknown"}
    assert "sim" in job["error"]["message"]
    assert "Traceback" not in job["error"]["message"]
    assert job["response"] is None
    assert installation.child("worker").pid == worker
    installation.audit([job["id"]])


@pytest.mark.parametrize("stream", [False, True])
def test_100_megabytes_do_not_hurt_the_worker(installation: Installation, stream: bool) -> None:
    worker: psutil.Process = installation.child("worker")
    installation.await_job(installation.submit("sim-echo"))
    before = worker.memory_info().rss
    body = chat("sim-huge", f"huge {stream}", stream=stream)
    jobs = [installation.submit(body=body, max_attempts=1) for _ in range(3)]
    ended = [installation.await_job(job_id) for job_id in jobs]
    assert [job["status"] for job in ended] == ["failed"] * 3
    assert all("bytes" in job["error"]["message"] for job in ended)
    assert installation.child("worker").pid == worker.pid
    assert worker.memory_info().rss - before < 400 * MEGABYTE
    assert installation.await_job(installation.submit("sim-echo"))["status"] == "completed"
    installation.audit(jobs)


def test_an_answer_without_usage_is_still_charged(installation: Installation) -> None:
    answer = installation.http.post("/chat/completions", json=chat("sim-nousage"))
    assert answer.json()["usage"]["estimated"] is True
    assert answer.json()["usage"]["cost"] > 0
