"""Complaints about other gateways do not apply here."""

import pytest

from broker.completion import AttemptOutcome, ErrorType
from broker.enums import OnUnknown
from broker.lifecycle.retries import Retry, Situation, decide
from broker.providers.endpoint_stats import Circuit
from broker.providers.health import Observation, Verdict, breaker, circuits, judge_failure
from broker.routing import Plan, PlanStep
from tests.broker.providers.health.watching import look, told
from tests.factories import make_endpoint
from workers.adapters.errors import read_error

ALPHA = ("alpha", "acme/small")


def classified(status, text, **headers):
    return read_error(status, headers, text.encode())


def next_place(failure, *, tries=1):
    plan = Plan([PlanStep(make_endpoint(name), "") for name in ("alpha", "beta", "gamma")])
    return decide(failure, Situation(plan, 0, tries, tries, 9, 1e6, OnUnknown.FAIL), chance=0.0)


async def seen(redis, clock, *attempts):
    await told(redis, clock, *attempts)
    observer = await look(redis, clock, opens_circuits=True)
    return observer.snapshot.find(*ALPHA)


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"message": "You have reached your specified API usage limits."}}',
        '{"error": {"message": "Your credit balance is too low to access the Anthropic API."}}',
    ],
)
def test_litellm_37599_a_spend_limit_that_comes_as_400_moves_on(body):
    failure = classified(400, body)
    assert failure.error_type is ErrorType.PAYMENT_REQUIRED
    assert next_place(failure) == Retry(1)
    assert judge_failure(failure) is Verdict.FAILED


@pytest.mark.parametrize("body", ["", "Too Many Requests", "<html>slow down</html>", '{"oops": 1}'])
async def test_litellm_24366_a_429_of_anybody_is_a_429_and_pauses(redis, clock, body):
    failure = classified(429, body, **{"retry-after": "30"})
    assert (failure.error_type, failure.retry_after) == (ErrorType.RATE_LIMIT_EXCEEDED, 30)
    assert next_place(failure) == Retry(1)
    known = await seen(
        redis, clock, Observation(ALPHA, judge_failure(failure), retry_after_ms=30_000)
    )
    assert known.paused_until == clock.now + 30_000
    assert known.circuit is Circuit.CLOSED


def test_litellm_10793_sglangs_full_context_is_the_requests_and_not_the_endpoints():
    body = (
        '{"object": "error", "message": "The input (12000 tokens) is longer than the model\'s '
        'context length (8192 tokens).", "type": "BadRequestError", "code": 400}'
    )
    failure = classified(400, body)
    assert failure.error_type is ErrorType.CONTEXT_LENGTH_EXCEEDED
    assert judge_failure(failure) is Verdict.EXCUSED


def test_litellm_5764_529_says_whose_fault_it_is():
    failure = classified(529, '{"error": {"type": "overloaded_error", "message": "Overloaded"}}')
    assert failure.error_type is ErrorType.PROVIDER_OVERLOADED
    assert judge_failure(failure) is Verdict.FAILED


async def test_litellm_34399_retry_after_holds_with_several_deployments(redis, clock):
    beta = ("beta", "acme/small")
    await seen(redis, clock, Observation(beta, Verdict.LIMITED, retry_after_ms=5_000))
    known = await seen(redis, clock, Observation(ALPHA, Verdict.LIMITED, retry_after_ms=90_000))
    assert known.paused_until == clock.now + 90_000


async def test_litellm_40130_the_second_cool_down_is_not_cut_to_the_first(redis, clock):
    limited = [
        Observation(ALPHA, Verdict.LIMITED, retry_after_ms=ms) for ms in (2_000, 60_000, 1_000)
    ]
    assert (await seen(redis, clock, *limited)).paused_until == clock.now + 60_000
    shorter = Observation(ALPHA, Verdict.LIMITED, retry_after_ms=3_000)
    assert (await seen(redis, clock, shorter)).paused_until == clock.now + 60_000


async def test_new_api_6095_one_error_disables_nothing(redis, clock):
    known = await seen(redis, clock, Observation(ALPHA, Verdict.FAILED, kind="server"))
    assert known.circuit is Circuit.CLOSED


def test_new_api_2899_a_retry_skips_no_healthy_place():
    failure = classified(503, "{}")
    assert failure.outcome is AttemptOutcome.REJECTED
    assert next_place(failure, tries=2) == Retry(1)


async def test_new_api_5420_what_was_disabled_comes_back_by_itself(redis, clock):
    known = await seen(redis, clock, *[Observation(ALPHA, Verdict.FAILED)] * 5)
    assert known.circuit is Circuit.OPEN
    clock.now = known.paused_until
    assert (await seen(redis, clock)).circuit is Circuit.HALF_OPEN
    await circuits.change(
        redis, ALPHA, lambda b: breaker.record_probe(b, clock.now, succeeded=True)
    )
    assert (await seen(redis, clock)).circuit is Circuit.CLOSED
