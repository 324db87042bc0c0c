"""Stopping on purpose: what runs finishes or is handed back, and nothing is left behind."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.chaos.load import Reader, await_all, submit_many
from tests.e2e.sse import content
from tests.installation import Installation, chat, until

pytestmark = pytest.mark.chaos


def test_a_stopped_worker_hands_back_what_it_cannot_finish() -> None:
    with Installation({"WAYBILL_SOFT_SHUTDOWN_SECONDS": "1.5"}) as installation:
        quick = submit_many(installation, 20, "sim-lat1000")
        slow = submit_many(installation, 20, "sim-lat4000", max_attempts=1)
        until(lambda: installation.calls()["in_flight"] == 40, 20, "not all are under way")
        worker = installation.child("worker")
        worker.terminate()
        until(lambda: not worker.is_running(), 15, lambda: f"still there\n{installation.log()}")
        jobs = await_all(installation, [*quick, *slow], 30)
        assert {job["status"] for job in jobs} == {"completed"}
        outcomes = [[each["outcome"] for each in job["attempts"]] for job in jobs]
        assert outcomes[:20] == [["ok"]] * 20
        assert outcomes[20:] == [["interrupted", "ok"]] * 20


def test_ctrl_c_stops_everything_and_a_restart_goes_on() -> None:
    with Installation({"WAYBILL_SOFT_SHUTDOWN_SECONDS": "1"}) as installation:
        reader = Reader(installation, "sim-tok60-chunk50")
        until(lambda: len(reader.frames) > 5, 20, "the stream does not begin")
        job_ids = submit_many(installation, 10, "sim-lat8000")
        job_ids.append(installation.submit("sim-echo", not_before=time.time() + 1))
        until(lambda: installation.calls()["in_flight"] == 11, 20, "not all are under way")
        assert installation.process is not None
        family = psutil.Process(installation.process.pid).children(recursive=True)
        began = time.monotonic()
        assert installation.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 25
        assert [each for each in family if each.is_running()] == []
        assert "Traceback" not in installation.log()
        reader.join(5)
        assert reader.done, "a stream that was open is let to its end"
        assert not reader.failed
        installation.start()
        jobs = await_all(installation, [*job_ids, reader.job_id], 60)
        assert {job["status"] for job in jobs} == {"completed"}
        answer = jobs[-1]["response"]["choices"][0]["message"]["content"]
        assert content(reader.frames) == answer
        outcomes = [[each["outcome"] for each in job["attempts"]] for job in jobs[:10]]
        assert outcomes == [["interrupted", "ok"]] * 10


def test_a_stream_that_has_begun_outlasts_other_calls() -> None:
    longer = {"WAYBILL_SOFT_SHUTDOWN_SECONDS": "0.5", "WAYBILL_STREAM_DRAIN_SECONDS": "30"}
    with Installation(longer) as installation:
        readers = [Reader(installation, "sim-tok60-chunk50") for _ in range(3)]
        for reader in readers:
            until(lambda r=reader: len(r.frames) > 3, 20, "the stream does not begin")
        silent = submit_many(installation, 3, "sim-lat8000")
        until(lambda: installation.calls()["in_flight"] == 6, 20, "not all are under way")
        installation.child("worker").terminate()
        jobs = await_all(installation, [*(reader.job_id for reader in readers), *silent], 60)
        outcomes = [[each["outcome"] for each in job["attempts"]] for job in jobs]
        assert outcomes == [["ok"]] * 3 + [["interrupted", "ok"]] * 3
        for reader in readers:
            reader.join(5)
            assert reader.done
            assert not reader.failed


def test_a_stream_that_is_cut_names_the_job_that_goes_on() -> None:
    short = {"WAYBILL_SOFT_SHUTDOWN_SECONDS": "0", "WAYBILL_STREAM_DRAIN_SECONDS": "0.5"}
    with Installation(short) as installation:
        reader = Reader(installation, "sim-tok60-chunk50")
        until(lambda: len(reader.frames) > 3, 20, "the stream does not begin")
        installation.child("worker").terminate()
        reader.join(40)
        assert reader.done
        error = reader.frames[-2].json["error"]
        assert error["metadata"] == {
            "error_type": "stream_interrupted",
            "job_id": reader.job_id,
        }
        [job] = await_all(installation, [reader.job_id], 60)
        assert [each["outcome"] for each in job["attempts"]] == ["interrupted", "ok"]


def test_a_second_ctrl_c_ends_the_waiting_for_streams() -> None:
    with Installation({"WAYBILL_STREAM_DRAIN_SECONDS": "60"}) as installation:
        reader = Reader(installation, "sim-tok400-chunk50")
        until(lambda: len(reader.frames) > 3, 20, "the stream does not begin")
        assert installation.process is not None
        installation.process.send_signal(signal.SIGINT)
        until(lambda: "stopping: " in installation.log(), 10, "it does not stop")
        time.sleep(1)  # it waits for the stream
        assert installation.alive
        began = time.monotonic()
        assert installation.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 15
        assert "Traceback" not in installation.log()


def test_a_second_ctrl_c_is_no_harm() -> None:
    with Installation() as installation:
        installation.submit("sim-lat1000")
        assert installation.process is not None
        installation.process.send_signal(signal.SIGINT)
        assert installation.stop(signal.SIGINT) == 0
        assert "Traceback" not in installation.log()


def test_a_call_that_a_stopping_api_cuts_off_is_told_when_to_come_back() -> None:
    with (
        Installation({"WAYBILL_STREAM_DRAIN_SECONDS": "1"}) as installation,
        ThreadPoolExecutor(1) as pool,
    ):
        key = {"Idempotency-Key": "cut off"}
        body = chat("sim-lat4000", "cut off")
        call = pool.submit(installation.http.post, "/chat/completions", json=body, headers=key)
        until(lambda: installation.calls("cut off")["matching"], 20, "not under way")
        api = installation.child("api")
        api.terminate()
        answer = call.result(20)
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"] == "2"
        assert answer.json()["error"]["metadata"]["error_type"] == "service_unavailable"
        # And the repeated call gets the answer of the first
        until(lambda: not api.is_running(), 20, "it does not end")
        installation.await_ready()
        assert (
            installation.http.post("/chat/completions", json=body, headers=key).status_code == 200
        )
        assert installation.calls("cut off")["matching"] == 1
