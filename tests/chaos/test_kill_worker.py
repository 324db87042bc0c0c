"""kill -9 of the worker: what it had in its hands is done again, and paid once."""

import pytest

from tests.chaos.load import Reader, await_all, submit_many
from tests.e2e.sse import content, frames
from tests.installation import Installation, until

pytestmark = pytest.mark.chaos


def test_200_jobs_survive_their_worker() -> None:
    with Installation() as installation:
        job_ids = submit_many(installation, 200, "sim-lat4000")
        until(lambda: installation.calls()["in_flight"] == 200, 30, "not all are under way")
        installation.kill("worker")
        jobs = await_all(installation, job_ids, 60)
    assert {job["status"] for job in jobs} == {"completed"}
    assert {tuple(each["outcome"] for each in job["attempts"]) for job in jobs} == {
        ("unknown", "ok")
    }
    assert all(job["usage"]["cost"] > 0 for job in jobs)


def test_readers_and_policies_survive_the_worker() -> None:
    """A stream is never spliced of two answers, and nobody is left waiting for ever."""
    with Installation({"WAYBILL_KEEP_ALIVE_SECONDS": "1"}) as installation:
        patient = Reader(installation, "sim-tok60-chunk50")
        until(lambda: len(patient.frames) > 5, 20, "the stream does not begin")
        once = installation.submit("sim-lat20000", on_unknown="fail")
        held = installation.submit("sim-lat20000", on_unknown="hold")
        last = installation.submit("sim-tok60-chunk50", max_attempts=1, body={"stream": True})
        for job_id in (once, held, last):
            installation.await_job(job_id, ["running"])
        plain = installation.http.post(
            "/chat/completions",
            json={"model": "sim/sim-lat2000", "messages": [{"role": "user", "content": "x"}]},
            headers={"Prefer": "wait=0.3", "Idempotency-Key": "plain"},
        )
        seen = _events(installation, last, 0.5)
        assert seen, "the stream does not begin"
        installation.kill("worker")
        patient.join(30)
        assert patient.failed, "a stream whose worker died looked like a whole one"
        assert installation.await_job(once, seconds=20)["status"] == "failed"
        assert installation.await_job(held, seconds=20)["status"] == "needs_review"
        assert installation.await_job(last, seconds=20)["status"] == "failed"
        # who comes back after chunks that only Redis had is told of the end too
        told = installation.http.get(
            f"/jobs/{last}/events", headers={"Last-Event-ID": str(seen)}, timeout=10
        )
        assert "event: failed" in told.text
        answer = installation.http.post(
            "/chat/completions",
            json={"model": "sim/sim-lat2000", "messages": [{"role": "user", "content": "x"}]},
            headers={"Idempotency-Key": "plain"},
        )
        assert answer.status_code == 200
        assert answer.headers["x-job-id"] == plain.headers["x-job-id"]
        installation.await_idle(30)
        log = frames(installation.http.get(f"/jobs/{patient.job_id}/events", timeout=20).text)
        numbers = [frame.number for frame in log]
        assert numbers == sorted(set(numbers))
        (again,) = (place for place, frame in enumerate(log) if frame.name == "retrying")
        assert numbers[:again] == list(range(1, again + 1))
        assert numbers[again:] == list(range(numbers[again], numbers[again] + len(log) - again))
        second = log[max(i for i, frame in enumerate(log) if frame.name == "started") :]
        stored = installation.job(patient.job_id)["response"]["choices"][0]["message"]["content"]
        assert content(second) == stored
        installation.audit()


def _events(installation: Installation, job_id: str, seconds: float) -> int:
    """Read a log for a while; return the number of the last event that came."""
    import httpx

    last = 0
    try:
        with installation.http.stream("GET", f"/jobs/{job_id}/events", timeout=seconds) as answer:
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    last = int(line[4:])
                if last > 12:
                    return last
    except httpx.TimeoutException:
        pass
    return last
