"""Traffic is shared among endpoints. Seeds are fixed, so that shares are the same at every run."""

import pytest

from broker.pricing import Price
from broker.providers.endpoint_stats import Circuit
from broker.routing import Preferences, Sort
from tests.broker.routing.worlds import (
    MODEL,
    NEEDS,
    NOW,
    USD,
    at,
    even,
    firsts,
    order,
    planned,
    seen,
    snapshot,
)

DEAR, CHEAP, FLAKY = at("dear", 3.0), at("cheap", 1.0), at("flaky", 1.0)
THREE = [DEAR, CHEAP, FLAKY]
LIVED = snapshot(
    dear=seen(speed=100, wait=0.3, uptime=1.0),
    cheap=seen(speed=25, wait=1.2, uptime=1.0),
    flaky=seen(speed=25, wait=1.2, uptime=0.7),
)


def test_by_default_cheap_reliable_endpoints_get_most_and_fast_ones_may_cost_more():
    shares = firsts(THREE, stats=LIVED)
    assert shares["cheap"] > 0.55
    # three times the price would be a ninth of the traffic; four times as fast makes up for some
    assert 0.15 < shares["dear"] < 0.45
    assert shares["flaky"] < 0.1


def test_without_evidence_the_square_of_the_price_decides():
    shares = firsts([at("one", 1.0), at("three", 3.0)])
    assert shares["one"] / shares["three"] == pytest.approx(9, rel=0.2)


def test_what_is_new_looks_like_a_typical_peer():
    stats = snapshot(a=seen(speed=10, wait=1), b=seen(speed=90, wait=1))
    shares = firsts([at("a"), at("b"), at("new")], stats=stats)
    assert shares["a"] < shares["new"] < shares["b"]


def test_nobody_is_never_asked():
    worst = snapshot(bad=seen(uptime=0.05), good=seen(uptime=1.0))
    shares = firsts([at("bad", 500), at("good")], stats=worst)
    assert 0.004 < shares["bad"] < 0.02


def test_what_is_free_does_not_starve_the_rest():
    shares = firsts([at("free", 0), at("paid", 1)])
    assert shares["free"] > 0.95
    assert shares["paid"] > 0


def test_a_few_failures_of_a_few_attempts_are_not_held_against_anybody_for_good():
    few = snapshot(a=seen(uptime=0.0, attempts=1), b=seen(uptime=1.0, attempts=1))
    many = snapshot(a=seen(uptime=0.0, attempts=100), b=seen(uptime=1.0, attempts=100))
    both = [at("a"), at("b")]
    assert firsts(both, stats=few)["a"] > 0.1 > firsts(both, stats=many)["a"]


def test_rate_limits_cost_a_little():
    limited = snapshot(a=seen(uptime=1.0, rate_limited_5m=0.5), b=seen(uptime=1.0))
    assert 0.2 < firsts([at("a"), at("b")], stats=limited)["a"] < 0.4


def test_a_retry_is_drawn_among_those_left():
    seconds = [order(planned(THREE, seed=n, stats=LIVED))[1] for n in range(1, 500)]
    assert {"dear", "cheap", "flaky"} == set(seconds)


def test_the_same_seed_gives_the_same_plan():
    plans = [planned(THREE, seed=77, stats=LIVED) for _ in range(2)]
    assert plans[0] == plans[1]
    assert plans[0].seed == 77
    assert len({tuple(order(planned(THREE, seed=n))) for n in range(50)}) > 1


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({"sort": Sort.PRICE}, ["cheap", "flaky", "dear"]),
        ({"sort": Sort.THROUGHPUT}, ["dear", "cheap", "flaky"]),
        ({"sort": Sort.LATENCY}, ["dear", "cheap", "flaky"]),
        ({"sort": Sort.EXACTO}, ["dear", "cheap", "flaky"]),
        ({"order": ["flaky", "dear"]}, ["flaky", "dear", "cheap"]),
        ({"order": ["flaky"], "allow_fallbacks": False}, ["flaky"]),
        ({"order": ["flaky"], "sort": Sort.THROUGHPUT}, ["flaky", "dear", "cheap"]),
        ({"only": {"dear"}}, ["dear"]),
        ({"ignore": {"cheap", "flaky"}}, ["dear"]),
        ({"max_price": {"prompt": 2 * USD}, "sort": Sort.PRICE}, ["cheap", "flaky"]),
        ({"allow_fallbacks": False, "sort": Sort.PRICE}, ["cheap"]),
    ],
)
def test_a_wish_alone_decides_the_order(wishes, expected):
    for seed in (1, 2, 3):
        assert order(planned(THREE, seed=seed, stats=LIVED, **wishes)) == expected


@pytest.mark.parametrize(
    ("slug", "first"), [("nitro", "dear"), ("floor", "cheap"), ("exacto", "dear")]
)
def test_a_suffix_is_a_sort(slug, first):
    plan = planned(THREE, models=[f"{MODEL}:{slug}"], stats=LIVED)
    assert order(plan)[0] == first
    assert plan[0].model == MODEL


def test_free_leaves_only_what_is_free():
    plan = planned([at("free", 0), at("paid", 1)], models=[f"{MODEL}:free"])
    assert order(plan) == ["free"]
    assert [(each.provider, each.code) for each in plan.excluded] == [("paid", "free")]


def test_a_name_that_ends_like_a_suffix_is_a_name():
    name = "ollama/llama:free"
    assert order(planned([at("paid", 1, model=name)], models=[name])) == ["paid"]


def test_quality_prefers_builds_near_to_the_published_weights():
    builds = [at("a", quantization="fp4"), at("b", quantization="bf16"), at("c", quantization=None)]
    assert order(planned(builds, sort=Sort.EXACTO)) == ["b", "c", "a"]


def test_preferred_figures_move_others_to_the_end_and_never_out():
    both = [at("slow", 0.1), at("fast", 9)]
    stats = snapshot(slow=seen(speed=20, wait=3), fast=seen(speed=90, wait=0.5))
    for wishes in ({"min_throughput": {"p50": 50}}, {"max_latency": {"p50": 1, "p99": 2}}):
        plan = planned(both, stats=stats, **wishes)
        assert order(plan) == ["fast", "slow"]
        assert "preferred" in plan.steps[1].reason
    # when nobody does as preferred the usual order holds
    assert firsts(both, stats=stats, min_throughput={"p90": 500})["slow"] > 0.9


def test_each_percentile_is_compared_with_its_own():
    steady = seen()
    jumpy = seen()
    steady = steady.__class__(latency_5m=even(1.0))
    jumpy = jumpy.__class__(latency_5m=even(1.0).__class__(0.2, 0.5, 4.0, 9.0))
    both = [at("steady"), at("jumpy", 0.1)]
    stats = snapshot(steady=steady, jumpy=jumpy)
    assert order(planned(both, stats=stats, max_latency={"p90": 2}))[0] == "steady"
    assert order(planned(both, stats=stats, max_latency={"p50": 0.5}))[0] == "jumpy"


def test_models_come_in_the_order_they_were_asked_for():
    plan = planned([at("x", 9, model="a/1"), at("y", 1, model="b/2"), at("z", 5, model="a/1")])
    assert [plan[n].model for n in range(3)] == ["a/1", "a/1", "b/2"]
    assert plan.next_model(0) == 2
    assert plan.steps[2].reason.startswith("fallback model 1")


def test_without_a_partition_all_models_are_sorted_together():
    endpoints = [at("x", 9, model="a/1"), at("y", 1, model="b/2"), at("z", 5, model="a/1")]
    assert order(planned(endpoints, sort=Sort.PRICE, across_models=True)) == ["y", "z", "x"]


def test_a_long_prompt_is_priced_at_its_own_tier():
    """A price that rises with the prompt decides by the price that this request would pay."""
    tiered = at("tiered").price.__class__.decode(
        {"prompt": USD // 2, "completion": USD // 2, "tiers": [[200_000, {"prompt": 9 * USD}]]}
    )
    both = [at("flat"), at("tiered", price=tiered)]
    long = NEEDS.__class__(input_tokens=300_000)
    assert order(planned(both, sort=Sort.PRICE))[0] == "tiered"
    assert order(planned(both, sort=Sort.PRICE, requirements=long))[0] == "flat"


def test_a_price_named_afterwards_is_no_bargain():
    stated = at("stated", price=Price(as_stated=True))
    assert order(planned([stated, at("known", 50)], sort=Sort.PRICE)) == ["known", "stated"]
    assert firsts([stated, at("known")])["stated"] == pytest.approx(0.5, abs=0.05)
    assert order(planned([stated, at("k")], max_price={"prompt": 99 * USD})) == ["k"]


OPEN = {"circuit": Circuit.OPEN, "paused_until": NOW + 5_000}
HALF = {"circuit": Circuit.HALF_OPEN}
PAUSED = {"paused_until": NOW + 5_000}


@pytest.mark.parametrize("wishes", [{}, {"sort": Sort.PRICE}, {"order": ["ill"]}])
@pytest.mark.parametrize("illness", [OPEN, {"circuit": Circuit.OPEN}, PAUSED])
def test_who_cannot_serve_now_goes_last_however_wanted(wishes, illness):
    stats = snapshot(ill=seen(**illness))
    for seed in range(1, 40):
        plan = planned([at("ill", 0.01), at("well", 9)], seed=seed, stats=stats, **wishes)
        assert order(plan) == ["well", "ill"]


def test_a_paused_endpoint_is_nearer_than_one_that_fails():
    stats = snapshot(failing=seen(**OPEN), limited=seen(**PAUSED), failing2=seen(**OPEN))
    plan = planned([at("failing"), at("limited"), at("failing2")], stats=stats)
    assert order(plan)[0] == "limited"


def test_when_all_circuits_are_open_there_is_still_a_plan():
    stats = snapshot(a=seen(**OPEN), b=seen(**OPEN))
    assert sorted(order(planned([at("a"), at("b")], stats=stats))) == ["a", "b"]


@pytest.mark.parametrize("state", [HALF, {"circuit": Circuit.OPEN, "paused_until": NOW - 1}])
@pytest.mark.parametrize("wishes", [{}, {"sort": Sort.PRICE}, {"order": ["back"]}])
def test_one_that_may_have_recovered_is_probed_by_a_few(state, wishes):
    both = [at("back", 0.01), at("well", 1)]
    stats = snapshot(back=seen(uptime=0.0, **state))  # it has only failed, of late
    assert 0.05 < firsts(both, stats=stats, **wishes)["back"] < 0.15


def test_after_a_recovery_only_what_came_since_counts():
    both = [at("back", 1), at("well", 1)]
    shares = {
        since: firsts(both, stats=snapshot(back=seen(uptime=0.1, since_recovery=since)))["back"]
        for since in (None, (0, 0), (9, 2))
    }
    assert shares[None] < 0.05
    assert shares[0, 0] == pytest.approx(0.5, abs=0.05)
    assert 0.05 < shares[9, 2] < 0.3


def test_the_prompt_goes_where_it_surely_fits_first():
    both = [at("tight", 0.1, context_length=1_000), at("roomy", 9, context_length=9_000)]
    requirements = NEEDS.__class__(input_tokens=900, output_tokens=500)
    plan = planned(both, requirements=requirements)
    assert order(plan) == ["roomy", "tight"]
    assert "too small" in plan.steps[1].reason


CACHED = {"prompt": 3 * USD, "completion": 3 * USD, "cache_read": USD // 10}


def test_a_conversation_stays_where_it_is_remembered_while_that_is_cheaper():
    requirements = NEEDS.__class__(input_tokens=50_000)
    dear = at("dear", price=Price(**CACHED))
    affinity = {MODEL: "dear"}
    for seed in range(1, 50):
        plan = planned([dear, at("cheap")], seed=seed, requirements=requirements, affinity=affinity)
        assert order(plan)[0] == "dear"
    assert "prompt cache" in plan.steps[0].reason
    # a short conversation: the answer costs more than the cache saves
    assert firsts([dear, at("cheap")], affinity=affinity)["dear"] < 0.5
    # nor does a cache help that costs as much as the prompt
    assert (
        firsts([at("dear", 3), at("cheap")], requirements=requirements, affinity=affinity)["dear"]
        < 0.2
    )


@pytest.mark.parametrize(
    ("wishes", "stats"),
    [
        ({"order": ["cheap"]}, {}),
        ({"sort": Sort.THROUGHPUT}, {"cheap": seen(speed=99), "dear": seen(speed=9)}),
        ({}, {"dear": seen(**OPEN)}),
        ({}, {"dear": seen(**PAUSED)}),
        ({"ignore": {"dear"}}, {}),
    ],
)
def test_a_warm_cache_yields_to_wishes_and_to_health(wishes, stats):
    requirements = NEEDS.__class__(input_tokens=50_000)
    endpoints = [at("dear", price=Price(**CACHED)), at("cheap")]
    stats = snapshot(**stats)
    plan = planned(
        endpoints, requirements=requirements, affinity={MODEL: "dear"}, stats=stats, **wishes
    )
    assert order(plan)[0] == "cheap"


def test_names_that_mean_nobody_are_noted():
    plan = planned([at("a")], order=["openia", "a"])
    assert list(plan.notes) == ["provider.order: openia serves none of these models here"]


def test_a_plan_is_no_longer_than_a_job_may_use():
    plan = planned([at(f"p{n}", 1 + n) for n in range(40)], sort=Sort.PRICE)
    assert order(plan) == [f"p{n}" for n in range(12)]
    assert {each.code for each in plan.excluded} == {"beyond_places"}


def test_preferences_of_a_caller_who_has_none():
    assert planned([at("a"), at("b")]).strategy == "balanced"
    assert planned([at("a")], order=["a"]).strategy == "order"
    assert planned([at("a")], sort=Sort.LATENCY).strategy == "latency"
    assert Preferences().allow_fallbacks
