"""Complaints about other gateways: each error answer leads to the right decision."""

import orjson
import pytest

from broker.completion import ErrorType
from broker.enums import JobState
from broker.lifecycle.retries import GiveUp, Retry, Situation, decide
from broker.providers.endpoint_stats import Circuit, EndpointStats
from broker.providers.health import breaker
from broker.routing import Plan, PlanStep, Sort
from tests.broker.routing.worlds import (
    NOW,
    OPEN_CIRCUIT,
    at,
    firsts,
    order,
    planned,
    seen,
    snapshot,
)
from tests.factories import make_endpoint
from workers.adapters.registry import ADAPTERS

HERE, THERE, OTHER = ("a", "m/1"), ("b", "m/1"), ("c", "m/2")
PLAN = Plan([PlanStep(make_endpoint(*each), "") for each in (HERE, THERE, OTHER)])


def answered(status, body, *, wire="openai", headers=None, plan=PLAN):
    """The failure that an answer is, and what is decided after it at the plan's first place."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    failure = ADAPTERS[wire].read_error(status, headers or {}, raw)
    situation = Situation(plan, 0, 1, 1, 5, seconds_left=60)
    return failure, decide(failure, situation, chance=0.5)


@pytest.mark.parametrize(
    "told",
    [
        "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
        "You have reached your specified workspace API usage limits.",
        "This request would exceed your account's workspace spend limit.",
        "Your credit balance is too low to access the Anthropic API.",
    ],
)
def test_a_spend_limit_told_as_a_400_moves_on(told):  # litellm 37599
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": told}}
    failure, decision = answered(400, body, wire="anthropic")
    assert failure.error_type is ErrorType.PAYMENT_REQUIRED
    assert decision == Retry(1)


@pytest.mark.parametrize("body", [b"<html>Too many requests</html>", b"", {"detail": "slow down"}])
def test_a_429_of_any_provider_is_a_rate_limit(body):  # litellm 24366
    failure, decision = answered(429, body, headers={"retry-after": "7"})
    assert failure.error_type is ErrorType.RATE_LIMIT_EXCEEDED
    assert failure.retry_after == 7
    assert decision == Retry(1)


def test_retry_after_is_kept_where_there_is_nobody_else():  # litellm 34399
    alone = Plan(PLAN.steps[:1])
    _, decision = answered(429, {}, headers={"retry-after": "7"}, plan=alone)
    assert decision.delay >= 7
    _, decision = answered(429, {}, headers={"retry-after": "61"}, plan=alone)
    assert decision == GiveUp(JobState.EXPIRED)


def test_a_full_context_in_sglangs_words_goes_to_the_next_model():  # litellm 10793
    told = "The input (12000 tokens) is longer than the model's context length (8192 tokens)."
    _, decision = answered(400, {"object": "error", "message": told})
    assert decision == Retry(2)


def test_one_error_disables_nobody():  # new-api 6095
    stats = snapshot(a=seen(uptime=0.0, attempts=1), b=seen(uptime=1.0, attempts=1))
    assert firsts([at("a"), at("b")], stats=stats, draws=500)["a"] > 0.1


def test_no_endpoint_that_works_is_skipped_on_the_way():  # new-api 2899
    endpoints = [at(slug) for slug in "abcd"]
    for seed in range(1, 30):
        assert sorted(order(planned(endpoints, seed=seed))) == list("abcd")
    _, decision = answered(429, {})
    assert decision.position == 1


def test_one_that_is_shut_off_is_not_asked_again_while_others_can_serve():  # new-api 4585, one-api
    endpoints = [at(slug, usd) for slug, usd in (("a", 0.01), ("b", 1.0), ("c", 1.0))]
    for sort in (None, Sort.PRICE):
        for seed in range(1, 40):
            plan = planned(endpoints, stats=snapshot(a=OPEN_CIRCUIT), seed=seed, sort=sort)
            assert order(plan)[-1] == "a"


def test_one_that_was_shut_off_comes_back_by_itself():  # new-api 5420; one-api 1197, 1059, 1269
    circuit = breaker.CLOSED
    assert not breaker.exceeds_threshold(0, 1)  # one error is none
    circuit = breaker.open_circuit(circuit, NOW)
    assert not circuit.allows_probe(NOW + breaker.COOL_DOWN_MS - 1)
    later = NOW + breaker.COOL_DOWN_MS
    assert circuit.allows_probe(later)
    recovering = EndpointStats(circuit=circuit.circuit(later))
    asked = firsts([at("a", 0.01), at("b")], stats=snapshot(a=recovering), draws=500)
    assert 0.05 < asked["a"] < 0.2  # some try it, most do not
    assert breaker.record_probe(circuit, later, succeeded=True).circuit(later) is Circuit.CLOSED
