"""From attempts, through Redis, to what routing reads."""

import math

from redis.asyncio import Redis

from broker.providers.endpoint_stats import NO_STATS, WHOLE_PROVIDER, Circuit
from broker.providers.health import Observation, Recorder, Verdict, breaker, circuits
from tests.broker.providers.health.watching import look, told

FAST, SLOW = ("alpha", "acme/small"), ("beta", "acme/small")


def ok(endpoint=FAST, **seen):
    return Observation(endpoint, Verdict.OK, **seen)


def failed(endpoint=FAST, kind="server", **seen):
    return Observation(endpoint, Verdict.FAILED, kind=kind, **seen)


async def test_two_workers_attempts_become_one_picture(redis, clock):
    await told(redis, clock, *[ok(first_token_ms=200, tokens_per_second=80)] * 6)
    await told(redis, clock, failed(), failed(), reporter="worker-2")
    await told(
        redis, clock, *[Observation(FAST, Verdict.LIMITED)] * 2, Observation(FAST, Verdict.EXCUSED)
    )
    known = (await look(redis, clock)).snapshot.find(*FAST)
    assert known.uptime_5m == known.uptime_30m == known.uptime_1d == 0.75
    assert known.attempts_5m == 8
    assert known.rate_limited_5m == 0.2
    assert math.isclose(known.latency_5m.p50, 0.2, rel_tol=0.1)
    assert math.isclose(known.throughput_30m.p90, 80, rel_tol=0.1)
    assert (await look(redis, clock)).snapshot.find(*SLOW) == NO_STATS


async def test_what_is_old_leaves_the_shorter_windows_first(redis, clock):
    await told(redis, clock, failed())
    observer = await look(redis, clock)
    clock.now += 6 * 60_000
    await told(redis, clock, ok())
    await observer.refresh()
    known = observer.snapshot.find(*FAST)
    assert (known.uptime_5m, known.uptime_30m, known.uptime_1d) == (1.0, 0.5, 0.5)
    clock.now += 31 * 60_000
    await observer.refresh()
    known = observer.snapshot.find(*FAST)
    assert (known.uptime_5m, known.uptime_30m, known.uptime_1d) == (None, None, 0.5)
    clock.now += 26 * 3_600_000
    await observer.refresh()
    assert observer.snapshot.find(*FAST) == NO_STATS


async def test_one_who_has_watched_and_one_who_comes_new_see_the_same(redis, clock):
    observer = await look(redis, clock)
    for _ in range(40):
        clock.now += 47_000
        await told(redis, clock, ok(first_token_ms=90), failed())
        await observer.refresh()
    assert observer.snapshot == (await look(redis, clock)).snapshot


async def test_what_grows_with_time_expires(redis, clock):
    await told(redis, clock, ok(), failed(retry_after_ms=5_000))
    for_ever = {b"waybill:health:in-flight", b"waybill:health:totals"}  # as many as endpoints
    for key in set(await redis.keys("waybill:health:*")) - for_ever:
        assert 0 < await redis.ttl(key) <= 26 * 3600


async def test_calls_in_flight_are_summed_until_their_worker_is_silent(redis, clock):
    first, second = Recorder(redis, "worker-1", clock), Recorder(redis, "worker-2", clock)
    with first.in_flight(FAST), first.in_flight(FAST), second.in_flight(FAST):
        for recorder in (first, second):
            recorder.start()
            await recorder.close()
    observer = await look(redis, clock)
    assert observer.snapshot.find(*FAST).in_flight == 3
    clock.now += 60_000
    await observer.refresh()
    assert observer.snapshot.find(*FAST).in_flight == 0


async def test_one_failure_opens_nothing_and_neither_do_bad_requests(redis, clock):
    await told(
        redis, clock, failed(), *[Observation(FAST, Verdict.EXCUSED, kind="invalid_request")] * 90
    )
    await told(redis, clock, *[Observation(FAST, Verdict.LIMITED)] * 90)
    observer = await look(redis, clock, opens_circuits=True)
    assert observer.snapshot.find(*FAST).circuit is Circuit.CLOSED


async def test_a_dead_endpoints_circuit_opens_for_everybody(redis, clock):
    await told(redis, clock, *[failed()] * 5, failed(SLOW))
    await look(redis, clock, opens_circuits=True)
    everybody = await look(redis, clock)
    known = everybody.snapshot.find(*FAST)
    assert known.circuit is Circuit.OPEN
    assert known.paused_until == clock.now + breaker.COOL_DOWN_MS
    assert everybody.snapshot.find(*SLOW).circuit is Circuit.CLOSED
    clock.now = known.paused_until
    await everybody.refresh()
    assert everybody.snapshot.find(*FAST).circuit is Circuit.HALF_OPEN


async def test_having_served_well_before_does_not_save_who_fails_now(redis, clock):
    await told(redis, clock, *[ok()] * 15)
    clock.now += 12_000
    await told(redis, clock, *[failed()] * 5)
    observer = await look(redis, clock, opens_circuits=True)
    assert observer.snapshot.find(*FAST).circuit is Circuit.OPEN


async def test_a_trickle_of_failures_opens_it_too(redis, clock):
    await told(redis, clock, *[ok()] * 3)
    observer = await look(redis, clock, opens_circuits=True)
    for _ in range(3):  # most of its traffic has moved on already
        clock.now += 5_000
        await told(redis, clock, failed(), failed())
        await observer.refresh()
    assert observer.snapshot.find(*FAST).circuit is Circuit.OPEN


async def test_its_cool_down_honours_the_latest_retry_after(redis, clock):  # litellm#34399, #40130
    asked = [failed(retry_after_ms=each) for each in (60_000, 240_000, 1_000, 1_000, 1_000)]
    await told(redis, clock, *asked, reporter="worker-1")
    await told(redis, clock, failed(retry_after_ms=2_000), reporter="worker-2")
    observer = await look(redis, clock, opens_circuits=True)
    assert observer.snapshot.find(*FAST).paused_until == clock.now + 240_000


async def test_failures_before_a_recovery_do_not_open_it_again(redis, clock):
    await told(redis, clock, *[failed()] * 9)
    await look(redis, clock, opens_circuits=True)
    clock.now += breaker.COOL_DOWN_MS
    await circuits.change(redis, FAST, lambda b: breaker.record_probe(b, clock.now, succeeded=True))
    observer = await look(redis, clock, opens_circuits=True)
    assert observer.snapshot.find(*FAST).circuit is Circuit.CLOSED
    # And routing counts what came since, while pages show the whole
    clock.now += 60_000
    await told(redis, clock, *[ok()] * 3, failed())
    await observer.refresh()
    known = observer.snapshot.find(*FAST)
    assert (known.since_recovery, known.uptime_5m) == ((3, 1), 3 / 13)


async def test_one_of_many_takes_the_probe(redis, clock):
    def take(known):
        return (
            breaker.start_probe(known, clock.now, 60_000)
            if known.allows_probe(clock.now)
            else known
        )

    await circuits.change(redis, FAST, lambda b: breaker.open_circuit(b, clock.now))
    clock.now += breaker.COOL_DOWN_MS
    tries = [await circuits.change(redis, FAST, take) for _ in range(5)]
    assert [before != after for before, after in tries] == [True, False, False, False, False]
    assert (await look(redis, clock)).snapshot.find(*FAST).circuit is Circuit.OPEN


async def test_a_disabled_credential_shuts_all_of_its_providers_endpoints(redis, clock):
    for _ in range(breaker.REFUSALS):
        await circuits.change(
            redis,
            ("alpha", WHOLE_PROVIDER),
            lambda b: breaker.record_refusal(b, clock.now, credential="k", why="401"),
        )
    await told(redis, clock, ok())
    snapshot = (await look(redis, clock)).snapshot
    assert snapshot.find(*FAST).circuit is Circuit.OPEN
    assert snapshot.find("alpha", "never/tried").circuit is Circuit.OPEN
    assert snapshot.find(*SLOW).circuit is Circuit.CLOSED


async def test_without_redis_the_last_snapshot_stands(redis, clock):
    await told(redis, clock, ok())
    observer = await look(redis, clock)
    before = observer.snapshot
    observer._redis = Redis.from_url("unix:///nowhere.sock")
    observer.start()
    await told(observer._redis, clock, ok())  # and whoever counts is not troubled
    await observer.close()
    assert observer.snapshot is before


async def test_a_stored_breaker_of_another_version_is_closed(redis, clock):
    await redis.hset(circuits.KEY, circuits.encode_endpoint(FAST), b'{"unknown": 1}')
    assert (await look(redis, clock)).snapshot.find(*FAST).circuit is Circuit.CLOSED
