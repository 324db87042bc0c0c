"""kill -9 of Valkey: messages and events are lost, jobs are not."""

import time

import pytest

from tests.chaos.load import Reader, await_all, submit_many
from tests.e2e.sse import content, frames
from tests.installation import Installation, chat, until
from tests.stacks import embedded_only

pytestmark = [pytest.mark.chaos, embedded_only]


def test_everything_accepted_completes_without_valkeys_memory() -> None:
    with Installation() as installation:
        readers = [Reader(installation, "sim-tok60-chunk50") for _ in range(5)]
        for reader in readers:
            until(lambda r=reader: len(r.frames) > 3, 20, "the stream does not begin")
        job_ids = submit_many(installation, 60, "sim-lat1000")
        worker = installation.child("worker").pid
        installation.kill("valkey")
        job_ids += submit_many(installation, 40, "sim-echo")  # accepted while there is no queue
        body = chat("sim-echo", "asked while there was no queue")
        began = time.monotonic()
        answer = installation.http.post("/chat/completions", json=body)
        assert answer.status_code == 200
        assert time.monotonic() - began < 25
        for reader in readers:
            reader.join(40)
            assert reader.done
            assert not reader.failed
        job_ids += [answer.headers["x-job-id"], *(reader.job_id for reader in readers)]
        jobs = await_all(installation, job_ids, 60)
        assert {job["status"] for job in jobs} == {"completed"}
        assert {len(job["attempts"]) for job in jobs} == {1}
        assert installation.calls()["most_calls_of_one_body"] == 1
        for reader, job in zip(readers, jobs[-5:], strict=True):
            stored = job["response"]["choices"][0]["message"]["content"]
            assert content(reader.frames) == stored
            log = frames(installation.http.get(f"/jobs/{job['id']}/events", timeout=10).text)
            assert [frame.number for frame in log] == list(range(1, len(log) + 1))
            assert content(log) == stored
        installation.await_ready(20)
        # And the worker has lived through it, and consumes again
        assert installation.child("worker").pid == worker
        assert "Traceback" not in installation.log_path.read_text()
        began = time.monotonic()
        assert installation.http.post("/chat/completions", json=chat("sim-echo")).status_code == 200
        assert time.monotonic() - began < 12  # not by the dispatcher, which comes after 15
