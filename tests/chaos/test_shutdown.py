"""Stopping on purpose: what runs finishes or is handed back, and nothing is left behind."""

import signal
import time

import psutil
import pytest

from tests.chaos.load import Reader, await_all, submit_many
from tests.e2e.sse import content
from tests.house import House, until

pytestmark = pytest.mark.chaos


def test_a_stopped_worker_hands_back_what_it_cannot_finish() -> None:
    with House({"WAYBILL_SOFT_SHUTDOWN_SECONDS": "1.5"}) as house:
        quick = submit_many(house, 20, "sim-lat1000")
        slow = submit_many(house, 20, "sim-lat4000", max_attempts=1)
        until(lambda: house.calls()["in_flight"] == 40, 20, "not all are under way")
        worker = house.child("worker")
        worker.terminate()
        until(lambda: not worker.is_running(), 15, lambda: f"still there\n{house.log()}")
        jobs = await_all(house, [*quick, *slow], 30)
        assert {job["status"] for job in jobs} == {"completed"}
        outcomes = [[each["outcome"] for each in job["attempts"]] for job in jobs]
        assert outcomes[:20] == [["ok"]] * 20
        assert outcomes[20:] == [["interrupted", "ok"]] * 20


def test_ctrl_c_stops_everything_and_a_restart_goes_on() -> None:
    with House({"WAYBILL_SOFT_SHUTDOWN_SECONDS": "1"}) as house:
        reader = Reader(house, "sim-tok60-chunk50")
        until(lambda: len(reader.frames) > 5, 20, "the stream does not begin")
        job_ids = submit_many(house, 10, "sim-lat8000")
        job_ids.append(house.submit("sim-echo", not_before=time.time() + 1))
        until(lambda: house.calls()["in_flight"] == 11, 20, "not all are under way")
        assert house.process is not None
        family = psutil.Process(house.process.pid).children(recursive=True)
        began = time.monotonic()
        assert house.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 25
        assert [each for each in family if each.is_running()] == []
        assert "Traceback" not in house.log()
        reader.join(5)
        assert reader.done, "a stream that was open is let to its end"
        assert not reader.failed
        house.start()
        jobs = await_all(house, [*job_ids, reader.job_id], 60)
        assert {job["status"] for job in jobs} == {"completed"}
        answer = jobs[-1]["response"]["choices"][0]["message"]["content"]
        assert content(reader.frames) == answer
        outcomes = [[each["outcome"] for each in job["attempts"]] for job in jobs[:10]]
        assert outcomes == [["interrupted", "ok"]] * 10


def test_a_second_ctrl_c_is_no_harm() -> None:
    with House() as house:
        house.submit("sim-lat1000")
        assert house.process is not None
        house.process.send_signal(signal.SIGINT)
        assert house.stop(signal.SIGINT) == 0
        assert "Traceback" not in house.log()
