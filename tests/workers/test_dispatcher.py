"""One process leads; when it is killed, another does within seconds."""

import asyncio
from types import SimpleNamespace

from workers.dispatcher import LEADER_KEY, LEADER_MS, Dispatcher


def dispatcher(redis, name):
    return Dispatcher(SimpleNamespace(redis=redis, worker_id=name, routes={}))


async def test_one_of_several_leads(redis):
    one, other = dispatcher(redis, "one"), dispatcher(redis, "other")
    leads = await asyncio.gather(*[each._leads() for each in (one, other, one, other)])
    assert sorted(leads) == [False, False, True, True]


async def test_another_takes_over_when_the_leader_is_gone(redis):
    # Given a leader that is killed: it says nothing any more
    one, other = dispatcher(redis, "one"), dispatcher(redis, "other")
    assert await one._leads()
    assert not await other._leads()
    # When its lease is over
    assert 0 < await redis.pttl(LEADER_KEY) <= LEADER_MS <= 5_000
    await redis.pexpire(LEADER_KEY, 1)
    await asyncio.sleep(0.01)
    # Then another leads, and the first would not, were it to wake up
    assert await other._leads()
    assert not await one._leads()


async def test_a_living_leader_keeps_the_lead(redis):
    one, other = dispatcher(redis, "one"), dispatcher(redis, "other")
    await one._leads()
    await redis.pexpire(LEADER_KEY, 50)
    await one._leads()
    await asyncio.sleep(0.06)
    assert not await other._leads()
