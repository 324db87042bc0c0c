"""A worker before and after a call: detours, probes, refused credentials."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from redis.asyncio import Redis

from broker.completion import AttemptOutcome, Completion, ErrorType, Failure, Usage
from broker.providers.endpoint_stats import WHOLE_PROVIDER, Circuit
from broker.providers.health import Observer, Recorder, breaker, circuits
from broker.routing import Plan, PlanStep
from tests.factories import make_endpoint
from tests.workers.parts import make_routes
from workers.attempt import endpoint_stats, open_circuits
from workers.attempt.endpoint_stats import OutcomeRecorder, fingerprint
from workers.attempt.open_circuits import CircuitCheck

ALPHA = ("alpha", "acme/small")
OWN = ("alpha", WHOLE_PROVIDER)
ANSWER = Completion([], Usage(output=50))


def fails(type_=ErrorType.SERVER, outcome=AttemptOutcome.REJECTED, **more):
    return Failure(outcome, type_, "no", **more)


REFUSED = fails(ErrorType.AUTHENTICATION, http_status=401)
BAD_REQUEST = fails(ErrorType.INVALID_REQUEST, http_status=400)


class Announcements:
    """A database that records which events are written."""

    def __init__(self):
        self.announced = []

    async def write(self, _function, events):
        self.announced += [(event.type, event.subject_id) for event in events]


class Worker:
    """The circuits of one worker, which reads them when a test says so."""

    def __init__(self, redis, clock, *, key="key-1"):
        self.redis, self.clock = redis, clock
        self.observer = Observer(redis, opens_circuits=True, clock=clock)
        self.recorder = Recorder(redis, "worker-1", clock)
        self.routes = make_routes("alpha", key=key)
        self.database = Announcements()
        self.check = CircuitCheck(redis, self.observer, self.routes)
        self.outcomes = OutcomeRecorder(
            self.database, redis, self.recorder, self.observer, self.routes, credentials=None
        )

    def run(self, *providers, position=0, left=600_000):
        plan = Plan([PlanStep(make_endpoint(each), "") for each in providers])
        return SimpleNamespace(
            job=SimpleNamespace(
                plan=plan,
                position=position,
                endpoint=plan[position],
                deadline_at=self.clock() + left,
            ),
            probes=set(),
            watch=SimpleNamespace(first_token_ms=None, elapsed_ms=lambda: 1_000),
        )

    async def comes(self, *providers, **more):
        """A job comes: is it sent here (then its run is returned), or does it go elsewhere?"""
        await self.observer.refresh()
        run = self.run(*providers, **more)
        skipped = await self.check.skip_if_open(run)
        if skipped is None:
            return run
        assert skipped.outcome is AttemptOutcome.SKIPPED
        return None

    async def ends(self, run, answer):
        self.outcomes.record(run, answer)
        await self.recorder._flush()
        await self.observer.refresh()

    def circuit(self, key=ALPHA):
        return self.observer.snapshot.find(*key).circuit


@pytest.fixture
def worker(redis, clock, monkeypatch):
    monkeypatch.setattr(open_circuits, "now_ms", clock)
    monkeypatch.setattr(endpoint_stats, "now_ms", clock)
    return Worker(redis, clock)


async def shut(worker, key=ALPHA):
    await circuits.change(worker.redis, key, lambda b: breaker.open_circuit(b, worker.clock()))
    await worker.observer.refresh()


async def test_a_closed_circuit_costs_no_question(worker):
    check = replace(worker.check, redis=None)  # whoever asks it fails
    assert await check.skip_if_open(worker.run("alpha", "beta")) is None


async def test_an_open_circuit_sends_jobs_on(worker):
    await shut(worker)
    assert await worker.comes("alpha", "beta") is None
    assert await worker.comes("beta", "alpha")


async def test_where_nothing_better_follows_it_is_tried(worker):
    await shut(worker)
    assert await worker.comes("alpha")
    assert await worker.comes("beta", "alpha", position=1)
    await shut(worker, ("beta", "acme/small"))
    run = await worker.comes("alpha", "beta")
    # and a success there closes it
    await worker.ends(run, ANSWER)
    assert worker.circuit() is Circuit.CLOSED


async def test_one_probe_at_a_time_whose_success_closes(worker, clock):
    await shut(worker)
    clock.now += breaker.COOL_DOWN_MS
    probe = await worker.comes("alpha", "beta")
    assert await worker.comes("alpha", "beta") is None
    await worker.ends(probe, ANSWER)
    assert worker.circuit() is Circuit.CLOSED
    assert await worker.comes("alpha", "beta")


async def test_a_probe_that_fails_opens_for_twice_as_long(worker, clock):
    await shut(worker)
    clock.now += breaker.COOL_DOWN_MS
    await worker.ends(await worker.comes("alpha", "beta"), fails())
    assert worker.circuit() is Circuit.OPEN
    assert worker.observer.snapshot.find(*ALPHA).paused_until == (
        clock.now + 2 * breaker.COOL_DOWN_MS
    )


@pytest.mark.parametrize("nothing", [BAD_REQUEST, fails(outcome=AttemptOutcome.CANCELLED)])
async def test_a_probe_that_told_nothing_lets_the_next_one_go(worker, clock, nothing):
    await shut(worker)
    clock.now += breaker.COOL_DOWN_MS
    await worker.ends(await worker.comes("alpha", "beta"), nothing)
    assert await worker.comes("alpha", "beta")


async def test_others_failures_do_not_disturb_a_probe(worker, clock):
    await shut(worker)
    late = worker.run("alpha")  # sent before it opened
    clock.now += breaker.COOL_DOWN_MS
    probe = await worker.comes("alpha", "beta")
    await worker.ends(late, BAD_REQUEST)
    assert await worker.comes("alpha", "beta") is None
    await worker.ends(probe, ANSWER)
    assert worker.circuit() is Circuit.CLOSED


async def test_three_refusals_disable_a_credential_and_are_told_once(worker):
    for _ in range(2):
        await worker.ends(worker.run("alpha"), REFUSED)
    assert worker.circuit(OWN) is Circuit.CLOSED
    for _ in range(2):
        await worker.ends(worker.run("alpha"), REFUSED)
    assert worker.circuit(OWN) is Circuit.OPEN
    assert worker.database.announced == [("provider.disabled", "alpha")]
    assert await worker.comes("alpha", "beta") is None


async def test_a_success_between_refusals_starts_the_count_anew(worker):
    for answer in (REFUSED, REFUSED, ANSWER, REFUSED, REFUSED):
        await worker.ends(worker.run("alpha"), answer)
    assert worker.circuit(OWN) is Circuit.CLOSED
    assert worker.database.announced == []


async def test_a_disabled_credential_is_judged_by_refusals_only(worker, clock):
    for _ in range(3):
        await worker.ends(worker.run("alpha"), REFUSED)
    clock.now += breaker.CREDENTIAL_COOL_DOWN_MS
    forbidden = fails(
        ErrorType.PERMISSION_DENIED, http_status=403, provider_code="SERVICE_DISABLED"
    )
    await worker.ends(await worker.comes("alpha", "beta"), forbidden)
    assert worker.circuit(OWN) is Circuit.OPEN
    clock.now += 2 * breaker.CREDENTIAL_COOL_DOWN_MS
    await worker.ends(await worker.comes("alpha", "beta"), BAD_REQUEST)  # it let us in
    assert await worker.comes("alpha", "beta")


async def test_403s_about_one_model_disable_nobodys_credential(worker):
    forbidden = fails(ErrorType.PERMISSION_DENIED, http_status=403)
    for _ in range(2 * breaker.REFUSALS):
        await worker.ends(worker.run("alpha"), forbidden)
    assert worker.circuit(OWN) is Circuit.CLOSED
    assert worker.database.announced == []


async def test_another_key_begins_anew(worker):
    for _ in range(3):
        await worker.ends(worker.run("alpha"), REFUSED)
    corrected = Worker(worker.redis, worker.clock, key="key-2")
    assert fingerprint(corrected.routes["alpha"]) != fingerprint(worker.routes["alpha"])
    assert await corrected.comes("alpha", "beta")
    await worker.outcomes.reset_changed_credentials()
    assert await worker.comes("alpha", "beta") is None
    await corrected.outcomes.reset_changed_credentials()
    assert await worker.comes("alpha", "beta")


async def test_a_callers_own_haste_does_not_count(worker):
    silence = fails(ErrorType.TIMEOUT, AttemptOutcome.UNKNOWN)
    for _ in range(10):
        await worker.ends(worker.run("alpha", left=0), silence)
    assert worker.circuit() is Circuit.CLOSED
    for _ in range(10):
        await worker.ends(worker.run("alpha"), silence)
    assert worker.circuit() is Circuit.OPEN


async def test_without_redis_jobs_are_sent(worker, clock):
    await shut(worker)
    clock.now += breaker.COOL_DOWN_MS
    await worker.observer.refresh()
    check = replace(worker.check, redis=Redis.from_url("unix:///nowhere.sock"))
    assert await check.skip_if_open(worker.run("alpha", "beta")) is None
