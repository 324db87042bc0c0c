"""A Valkey whose memory is full loses no accepted job: jobs wait in the database."""

import itertools

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError

from tests.installation import Installation, until
from tests.stacks import AT_SCALE

JOBS = 12
MEGABYTE = b"x" * 1_000_000


@pytest.mark.skipif(AT_SCALE, reason="fills the embedded Valkey")
def test_jobs_submitted_while_it_is_full_run_once_there_is_room() -> None:
    with (
        Installation({"WAYBILL_VALKEY_MEMORY_MB": "64"}) as installation,
        Redis.from_url(installation.redis_url) as redis,
    ):
        # Given a Valkey that is full of what does not expire
        installation.await_job(installation.submit())
        _fill(redis)
        # When jobs are submitted
        accepted = [installation.submit(prompt=f"Hello {number}") for number in range(JOBS)]
        # Then each of them ends with one answer and one charge, once there is room
        redis.delete("ballast")
        assert {installation.await_job(each, seconds=60)["status"] for each in accepted} == {
            "completed"
        }
        installation.await_idle()
        installation.audit()


def _fill(redis: Redis) -> None:
    """Push values that do not expire until no more is taken, down to the last kilobytes."""
    for size in (len(MEGABYTE), 20_000, 500):
        for _ in itertools.count():
            try:
                redis.rpush("ballast", MEGABYTE[:size])
            except OutOfMemoryError:
                break
    until(lambda: _is_full(redis), 10, "Valkey took more")


def _is_full(redis: Redis) -> bool:
    try:
        redis.rpush("ballast", b"x" * 500)
    except OutOfMemoryError:
        return True
    return False
