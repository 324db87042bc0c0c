"""One process leads; when it is killed, another does within seconds."""

import asyncio

import pytest

from workers.services.leader_election import KNOWN_SECONDS, LEADERSHIP_MS, LeaderElection

KEY = "waybill:dispatcher"


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self) -> None:
        """Advance until processes ask Redis again."""
        self.now += KNOWN_SECONDS


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def leads(redis, clock):
    """Two processes that may lead."""
    return [LeaderElection(redis, "dispatcher", name, clock=clock) for name in ("one", "other")]


async def test_one_of_several_leads(leads):
    one, other = leads
    held = await asyncio.gather(*[each.is_leader() for each in (one, other, one, other)])
    assert sorted(held) == [False, False, True, True]


async def test_another_takes_over_when_the_leader_is_gone(leads, redis, clock):
    # Given a leader that is killed: it says nothing any more
    one, other = leads
    assert await one.is_leader()
    assert not await other.is_leader()
    # When its lease is over
    assert 0 < await redis.pttl(KEY) <= LEADERSHIP_MS <= 5_000
    await redis.pexpire(KEY, 1)
    await asyncio.sleep(0.01)
    clock.advance()
    # Then another leads, and the first would not, were it to wake up
    assert await other.is_leader()
    assert not await one.is_leader()


async def test_a_living_leader_keeps_the_lead(leads, redis, clock):
    one, other = leads
    await one.is_leader()
    await redis.pexpire(KEY, 50)
    clock.advance()
    await one.is_leader()
    await asyncio.sleep(0.06)
    assert not await other.is_leader()


async def test_an_answer_counts_for_less_time_than_the_lease(leads, redis, clock):
    one, _ = leads
    assert await one.is_leader()
    await redis.delete(KEY)
    # The leader does not ask again within the time that it knows the answer for
    assert await one.is_leader()
    assert not await redis.exists(KEY)
    clock.advance()
    assert await one.is_leader()
    assert await redis.exists(KEY)
    assert KNOWN_SECONDS * 1000 < LEADERSHIP_MS / 2
