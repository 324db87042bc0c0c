import asyncio
import time

import pytest
from typer.testing import CliRunner

from broker.events import signals
from cli.main import app
from workers.services.leader_election import LeaderElection


@pytest.fixture
def check(valkey, tmp_path):
    """Run `waybill health` of a part; return its result."""
    place = {"WAYBILL_REDIS_URL": valkey, "WAYBILL_DATA_DIR": str(tmp_path)}

    async def run(part, **more):
        invoke = CliRunner().invoke  # in a thread, because it runs a loop of its own
        return await asyncio.to_thread(invoke, app, ["health", part], env=place | more)

    return run


async def test_the_worker_of_this_host_is_found(redis, check):
    assert (await check("worker")).exit_code == 1
    await signals.report_alive(redis, "elsewhere:01", time.time())
    assert (await check("worker")).exit_code == 1
    worker_id = signals.new_worker_id()
    await signals.report_alive(redis, worker_id, time.time())
    assert worker_id in (await check("worker")).stdout
    assert (await check("worker", WAYBILL_WORKER_ID="elsewhere:01")).exit_code == 0
    await signals.report_gone(redis, worker_id)
    assert (await check("worker")).exit_code == 1


async def test_a_worker_that_is_silent_for_long_is_not_healthy(redis, check):
    before = time.time() - signals.SILENCE_SECONDS - 1
    await signals.report_alive(redis, signals.new_worker_id(), before)
    assert (await check("worker")).exit_code == 1


async def test_a_dispatcher_is_found_while_it_leads(redis, check):
    assert (await check("dispatcher")).exit_code == 1
    assert await LeaderElection(redis, "dispatcher", "host:01").is_leader()
    assert "host:01" in (await check("dispatcher")).stdout


async def test_a_redis_that_does_not_answer_is_an_error(check):
    ended = await check("worker", WAYBILL_REDIS_URL="redis://127.0.0.1:1/0")
    assert ended.exit_code == 1
    assert "Redis does not answer" in ended.stderr
