"""Forks of one server: what they are when that is killed."""

import asyncio
import os
import signal
import subprocess
import sys

import psutil
import pytest

from broker.settings import Settings
from cli.start import processes
from cli.start import processes as supervision
from cli.start.processes import Child, ChildDiedError, part, program
from cli.start.up import Supervisor
from tests.installation import until


def stubborn(path):
    """Go on, whoever asks for an end, until the file is gone."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    path.touch()
    until(lambda: not path.exists(), 30, "nobody took the file away")


def kill_server():
    for each in psutil.Process().children():
        if "multiprocessing.forkserver" in " ".join(each.cmdline()):
            each.kill()


async def test_a_fork_that_still_works_has_not_ended_with_its_server(tmp_path):
    at_work = tmp_path / "at work"
    child = await processes.fork("stubborn", stubborn, {"path": at_work}, os.environ)
    until(at_work.exists, 30, "it does not begin")
    ended = asyncio.create_task(child.wait())
    # When the server is killed, another is there at once, and what the first one forked goes on
    kill_server()
    assert await processes.call_in_fork(os.getpid) != os.getpid()
    assert not ended.done()
    # Then its end is seen when it comes
    at_work.unlink()
    assert await asyncio.wait_for(ended, 20) == processes.UNKNOWN_EXIT_CODE


def test_what_is_preloaded_is_there_and_runs_nothing():
    """multiprocessing goes on without a module that it cannot import."""
    code = "import cli.start.preloaded, threading; print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


async def test_a_fork_ends_with_its_exit_code():
    child = await processes.fork("exit", os._exit, {"status": 3}, os.environ)
    assert await asyncio.wait_for(child.wait(), 20) == 3


async def test_a_worker_is_started_again_though_its_jobs_cannot_be_handed_back(
    monkeypatch, capsys, tmp_path
):
    async def full(*_):
        raise OSError("disk is full")

    monkeypatch.setattr(processes, "call_in_fork", full)
    worker = Child("worker-1", part("worker-1", os.getpid), tmp_path / "worker-1.pid")
    worker.started = {"WAYBILL_WORKER_ID": "worker_1"}
    await Supervisor(Settings(), "127.0.0.1", 0)._on_death(worker)
    assert (
        "the jobs of worker-1 wait until their leases end (disk is full)" in capsys.readouterr().err
    )


async def test_a_process_id_goes_with_its_process(monkeypatch, tmp_path):
    monkeypatch.setattr(supervision, "RESTART_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(supervision, "MAX_RAPID_DEATHS", 2)
    told = tmp_path / "short.pid"
    found = []

    async def died(_):
        found.append(told.exists())

    child = Child("short", program(["true"]), told)
    await child.start()
    assert told.read_text() == f"{child.process.pid}\n"
    with pytest.raises(ChildDiedError):
        await child.watch(died)
    await child.stop()
    assert found == [False]
    assert not told.exists()
