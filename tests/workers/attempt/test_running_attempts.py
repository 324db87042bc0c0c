"""The attempts of a process: their leases, their cancellation, and their end at a shutdown."""

import asyncio
from types import SimpleNamespace

import pytest

from workers.attempt.running_attempts import RunningAttempts


def claimed(job_id="job_1", attempt=1):
    """A claimed job, as far as leases need it."""
    return SimpleNamespace(id=job_id, attempt=attempt, background=None)


def start_call(handle):
    handle.call = asyncio.get_running_loop().create_future()
    return handle.call


@pytest.fixture
def attempts():
    return RunningAttempts()


def test_leases_are_those_of_the_attempts_that_run(attempts):
    with attempts.add(claimed("job_1", 1)), attempts.add(claimed("job_2", 4)):
        assert attempts.leases() == {"job_1": 1, "job_2": 4}
    assert attempts.leases() == {}


def test_an_older_attempt_that_ends_leaves_the_lease_of_the_newer_one(attempts):
    older = attempts.add(claimed(attempt=1))
    older.__enter__()
    with attempts.add(claimed(attempt=2)):
        older.__exit__(None, None, None)
        assert attempts.leases() == {"job_1": 2}


async def test_a_cancellation_stops_the_call(attempts):
    with attempts.add(claimed()) as handle:
        call = start_call(handle)
        attempts.cancel("job_1", awaits_usage=True)
        assert call.cancelled()
        assert (handle.is_cancelled, handle.awaits_usage) == (True, True)


async def test_a_reminder_does_not_stop_the_wait_for_usage_but_an_urgent_cancellation_does(
    attempts,
):
    with attempts.add(claimed()) as handle:
        start_call(handle)
        attempts.cancel("job_1", awaits_usage=True)
        waiting = start_call(handle)  # the provider may still state the usage
        attempts.cancel("job_1", awaits_usage=True)
        assert not waiting.cancelled()
        attempts.cancel("job_1", awaits_usage=False)
        assert waiting.cancelled()
        assert handle.awaits_usage is False


def test_a_job_that_does_not_run_here_is_not_cancelled(attempts):
    attempts.cancel("job_1", awaits_usage=False)
    with attempts.add(claimed()) as handle:
        assert handle.is_cancelled is False


async def test_a_lost_lease_stops_the_call_without_a_cancellation(attempts):
    with attempts.add(claimed()) as handle:
        call = start_call(handle)
        attempts.stop_lost("job_1")
        assert call.cancelled()
        assert handle.is_cancelled is False


@pytest.mark.parametrize("streams", [False, True])
async def test_a_shutdown_spares_streams_at_first(attempts, streams):
    with attempts.add(claimed("job_1")) as plain, attempts.add(claimed("job_2")) as streaming:
        calls = start_call(plain), start_call(streaming)
        streaming.is_streaming = True
        attempts.interrupt(streams=streams)
        assert [call.cancelled() for call in calls] == [True, streams]
        assert attempts.is_stopping


async def test_the_wait_ends_when_the_calls_do(attempts):
    with attempts.add(claimed()) as handle:
        call = start_call(handle)
        waiting = asyncio.create_task(attempts.wait(60))
        await asyncio.sleep(0)
        assert not waiting.done()
        call.set_result(None)
        async with asyncio.timeout(10):
            await waiting


async def test_without_calls_nothing_is_waited_for(attempts):
    with attempts.add(claimed()):
        await attempts.wait(60)
        attempts.interrupt(streams=True)
    assert attempts.calls() == []
