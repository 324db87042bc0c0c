"""A stream that its caller ends early is charged.

The models of this configuration may reason, for nothing is said of them: the hold is paid.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.sse import Frame, content, read
from tests.installation import Installation, until

LONG = "sim-tok400-chunk50"  # 400 tokens of four characters, 50 ms apart


def follow(installation: Installation, job_id: str, end: Callable[[], object]) -> list[Frame]:
    """Read a stream to its end, which comes soon after `end` was called in the middle."""
    told = []
    with installation.http.stream("GET", f"/jobs/{job_id}/events", timeout=30) as answer:
        for frame in read(line + "\n" for line in answer.iter_lines()):
            told.append(frame)
            if len(told) == 8:
                end()
    return told


def check_paid(installation: Installation, job: dict[str, Any], told: list[Frame]) -> None:
    usage = job["usage"]
    assert 0 < len(content(told)) // 4 <= usage["completion_tokens"] < 400
    assert usage["cost"] > 0
    assert usage["cost_basis"] == "hold"
    (attempt,) = job["attempts"]
    assert attempt["cost"] == usage["cost"]
    assert told[-1].json["generation_id"] == job["generation_id"]
    generation = installation.http.get("/generation", params={"id": job["generation_id"]}).json()[
        "data"
    ]
    assert generation["total_cost"] == usage["cost"]
    assert generation["cancelled"] == (job["status"] == "cancelled")
    installation.audit([job["id"]])


def test_a_stream_that_is_cancelled_costs_what_was_held(installation: Installation) -> None:
    job_id = installation.submit(LONG, "cancelled early", body={"stream": True})
    told = follow(installation, job_id, lambda: installation.http.post(f"/jobs/{job_id}/cancel"))
    job = installation.await_job(job_id)
    assert job["status"] == "cancelled"
    assert job["attempts"][0]["outcome"] == "cancelled"
    check_paid(installation, job, told)


def test_a_stream_cut_by_its_own_deadline_costs_what_was_held(installation: Installation) -> None:
    job_id = installation.submit(
        LONG, "cut by its deadline", body={"stream": True}, deadline=time.time() + 3
    )
    told = follow(installation, job_id, lambda: None)
    job = installation.await_job(job_id)
    assert job["status"] == "failed"
    assert job["attempts"][0]["error_type"] == "timeout"
    check_paid(installation, job, told)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_is_cancelled_while_its_provider_is_silent(
    installation: Installation, stream: bool
) -> None:
    job_id = installation.submit("sim-lat20000", f"nothing yet {stream}", body={"stream": stream})
    until(lambda: installation.calls(f"nothing yet {stream}")["matching"], 10, "not called")
    installation.http.post(f"/jobs/{job_id}/cancel").raise_for_status()
    job = installation.await_job(job_id)
    assert job["status"] == "cancelled"
    # Then a stream without a head costs nothing; whatever else was done cannot be known
    assert (job["usage"] is None) is stream
    installation.audit([job_id])
