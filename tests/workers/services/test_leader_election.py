"""One process leads; when it is killed, another does within seconds."""

import asyncio

import pytest

from workers.services.leader_election import LEADERSHIP_MS, LeaderElection

KEY = "waybill:dispatcher"


@pytest.fixture
def leads(redis):
    """Two processes that may lead."""
    return [LeaderElection(redis, "dispatcher", name) for name in ("one", "other")]


async def test_one_of_several_leads(leads):
    one, other = leads
    held = await asyncio.gather(*[each.is_leader() for each in (one, other, one, other)])
    assert sorted(held) == [False, False, True, True]


async def test_another_takes_over_when_the_leader_is_gone(leads, redis):
    # Given a leader that is killed: it says nothing any more
    one, other = leads
    assert await one.is_leader()
    assert not await other.is_leader()
    # When its lease is over
    assert 0 < await redis.pttl(KEY) <= LEADERSHIP_MS <= 5_000
    await redis.pexpire(KEY, 1)
    await asyncio.sleep(0.01)
    # Then another leads, and the first would not, were it to wake up
    assert await other.is_leader()
    assert not await one.is_leader()


async def test_a_living_leader_keeps_the_lead(leads, redis):
    one, other = leads
    await one.is_leader()
    await redis.pexpire(KEY, 50)
    await one.is_leader()
    await asyncio.sleep(0.06)
    assert not await other.is_leader()
