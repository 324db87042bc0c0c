"""The auto router: what it makes of a prompt, what it picks, and that the pick can serve it."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from broker import routing
from broker.errors import InvalidRequestError, NoEndpointError
from broker.pricing import Price
from broker.providers.endpoint_stats import Snapshot
from broker.routing import Preferences, Requirements, RoutingContext, RoutingRequest, Sort, classify
from broker.routing.auto_router import AutoOptions, read_auto_options
from broker.routing.filters import filters
from tests.broker.routing.worlds import NOW, OPEN_CIRCUIT, USD, at, seen

FITS = {
    "a/coder": {"code": 0.9, "chat": 0.5},
    "b/talker": {"code": 0.3, "chat": 0.9},
    "c/best": {"code": 0.99, "chat": 0.99},
}
SERVED = {
    "a/coder": [at("p", 1.0, model="a/coder")],
    "b/talker": [at("p", 1.1, model="b/talker")],
    "c/best": [at("p", 60.0, model="c/best")],
    "d/unrated": [at("p", 0.0, model="d/unrated")],
}


def chosen(model="waybill/auto", *, wishes=None, served=SERVED, seed=1, stats=None, **more):
    requirements = more.pop("requirements", Requirements(input_tokens=100))
    ask = RoutingRequest([model], requirements, Preferences(**more), wishes or AutoOptions())
    snapshot = Snapshot(stats or {}, taken_at=NOW)
    return routing.plan(ask, served, RoutingContext(snapshot, seed=seed, fits=FITS))


def models(plan):
    return [plan[n].model for n in range(len(plan))]


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("Write a python function that reverses a list", "code"),
        ("```\ndef f(): pass\n```\nwhat is wrong?", "code"),
        ("Solve the equation 3*x + 4 = 19", "maths"),
        ("Compare the trade-offs step by step", "reasoning"),
        ("Write a product description for a smart water bottle.", "writing"),
        ("Translate this into German: good morning", "multilingual"),
        ("Как дела сегодня", "multilingual"),
        ("Hello there", "chat"),
        ("", "chat"),
    ],
)
def test_what_a_prompt_asks_for(prompt, kind):
    assert classify({"messages": [{"role": "user", "content": prompt}]}, Requirements()) == kind
    parts = [{"type": "text", "text": prompt}]
    assert classify({"messages": [{"role": "user", "content": parts}]}, Requirements()) == kind


def test_needs_say_more_than_words():
    body = {"messages": [{"role": "user", "content": "Write a python function"}]}
    assert classify(body, Requirements(frozenset({"image"}))) == "vision"
    assert classify(body, Requirements(input_tokens=50_000)) == "long_context"
    assert classify(body, Requirements(must=frozenset({"tools"}))) == "tools"


def test_the_fit_decides_within_a_cost_tier():
    both = {slug: SERVED[slug] for slug in ("a/coder", "b/talker", "c/best")}
    assert models(chosen(served=both, wishes=AutoOptions(task="code")))[0] == "a/coder"
    dear = chosen(served=both, wishes=AutoOptions(task="code", cost_tier="max"))
    assert models(dear)[0] == "c/best"
    assert dear.choice["task"] == "code"
    assert dear.choice["chosen"] == ["c/best"]
    assert "max cost" in dear.choice["why"]


@pytest.mark.parametrize("name", ["waybill/auto", "openrouter/auto"])
def test_both_names_choose_and_the_choice_has_fallbacks(name):
    plan = chosen(name)
    assert len(set(models(plan))) == 3
    assert "d/unrated" not in models(plan)  # nobody knows how well it does
    assert list(plan.choice["fallbacks"]) == models(plan)[1:]


def test_strategies():
    assert models(chosen(sort=Sort.PRICE))[0] == "a/coder"
    fast = {("p", "c/best"): seen(speed=300, wait=0.1), ("p", "a/coder"): seen(speed=10, wait=1)}
    assert models(chosen(sort=Sort.THROUGHPUT, stats=fast))[0] == "c/best"


def test_wishes_bound_the_choice():
    assert models(chosen(wishes=AutoOptions(allowed=["c/*"]))) == ["c/best"]
    assert models(chosen(wishes=AutoOptions(allowed=["d/*"]))) == ["d/unrated"]
    excluded = AutoOptions(excluded=["a/*", "c/*"])
    assert models(chosen(wishes=excluded)) == ["b/talker"]
    with pytest.raises(NoEndpointError, match="among 4 models") as refusal:
        chosen(wishes=AutoOptions(allowed=["nobody/*"]))
    assert refusal.value.param == "allowed_models"


def test_a_model_that_fails_now_is_not_the_pick():
    plan = chosen(sort=Sort.PRICE, stats={("p", "a/coder"): OPEN_CIRCUIT})
    assert models(plan)[0] == "b/talker"


def test_free_is_free_and_pareto_the_cheapest_good_coder():
    assert models(chosen("openrouter/free")) == ["d/unrated"]
    assert models(chosen("waybill/pareto-code")) == ["a/coder", "c/best"]
    least = AutoOptions(least_code=0.95)
    assert models(chosen("openrouter/pareto-code", wishes=least)) == ["c/best"]


def test_a_free_endpoint_that_cannot_serve_it_makes_no_model_free():
    served = {f"m/{n}": [at("free", 0.0, model=f"m/{n}", context_length=10),
                         at("paid", 1.0, model=f"m/{n}")] for n in range(6)}  # fmt: skip
    served["n/fits"] = [at("free", 0.0, model="n/fits")]
    for seed in range(20):
        assert models(chosen("openrouter/free", served=served, seed=seed)) == ["n/fits"]


def test_a_router_may_be_one_of_several_models():
    ask = RoutingRequest(["d/unrated", "waybill/auto"], Requirements())
    plan = routing.plan(ask, SERVED, RoutingContext(seed=1, fits=FITS))
    assert models(plan)[0] == "d/unrated"
    assert plan[1].model in FITS


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"cost_tier": "cheap"}, "cost_tier"),
        ({"allowed_models": "a/*"}, "allowed_models"),
        ({"plugins": [{"id": "auto-router", "excluded_models": [1]}]},
         "plugins.auto-router.excluded_models"),
        ({"excluded_models": ["x"] * 1_025}, "excluded_models"),
        ({"plugins": [{"id": "pareto-router", "min_coding_score": "good"}]},
         "plugins.pareto-router.min_coding_score"),
    ],
)  # fmt: skip
def test_wishes_that_cannot_be_read_name_their_field(body, param):
    with pytest.raises(InvalidRequestError) as refusal:
        read_auto_options(body, "chat")
    assert refusal.value.param == param


def test_the_plugins_settings_and_the_bodys_mean_the_same():
    settings = {"allowed_models": ["a/*"], "excluded_models": ["a/b"], "cost_tier": "high"}
    plugin = {"plugins": [{"id": "auto-router", **settings}]}
    assert read_auto_options(plugin, "chat") == read_auto_options(settings, "chat")
    off = {"plugins": [{"id": "auto-router", "enabled": False, **settings}]}
    assert read_auto_options(off, "chat") == AutoOptions()
    pinned = {"plugins": [{"id": "auto-router", "pin_model": "a/b"}]}
    assert read_auto_options(pinned, "chat").allowed == ["a/b"]


SOME = st.none() | st.sampled_from(
    [frozenset(), frozenset({"tools"}), frozenset({"tools", "seed"})]
)
ENDPOINTS = st.builds(
    lambda n, usd, room, most, supported, sees: at(
        f"p{n}", usd, model=f"m/{n}", context_length=room, max_completion_tokens=most,
        supported_parameters=supported,
        input_modalities=frozenset({"text", "image"} if sees else {"text"}),
    ),
    st.integers(0, 9), st.floats(0, 50), st.none() | st.integers(10, 2_000),
    st.none() | st.integers(1, 500), SOME, st.booleans(),
)  # fmt: skip
NEEDS = st.builds(
    Requirements,
    modalities=st.sampled_from([frozenset(), frozenset({"image"})]),
    parameters=st.just(frozenset({"tools", "seed"})),
    must=st.sampled_from([frozenset(), frozenset({"tools"})]),
    input_tokens=st.integers(0, 3_000),
    output_tokens=st.none() | st.integers(1, 600),
)
WISHES = st.builds(
    Preferences,
    require_parameters=st.booleans(),
    max_price=st.sampled_from([{}, {"prompt": 10 * USD}]),
    sort=st.none() | st.sampled_from(list(Sort)),
)


@given(st.lists(ENDPOINTS, min_size=1, max_size=12), NEEDS)
def test_the_cheapest_is_the_cheapest_that_can_serve_it(endpoints, requirements):
    served = {}
    for each in endpoints:
        served.setdefault(each.model, []).append(each)
    able = [
        each
        for each in endpoints
        if all(f.accepts(each) for f in filters(requirements, Preferences()))
    ]
    assume(able)
    ask = RoutingRequest(["waybill/auto"], requirements, Preferences(sort=Sort.PRICE))
    fits = {slug: {"chat": 0.9} for slug in served}
    plan = routing.plan(ask, served, RoutingContext(seed=1, fits=fits))
    [pick] = plan.choice["chosen"]
    least = min(each.price.prompt for each in able)
    assert min(each.price.prompt for each in able if each.model == pick) == least


@given(
    st.lists(ENDPOINTS, min_size=1, max_size=12), NEEDS, WISHES,
    st.sampled_from(sorted(routing.ROUTERS)), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_whatever_is_picked_satisfies_every_hard_need(
    endpoints, requirements, wishes, router, seed
):
    served = {}
    for each in endpoints:
        served.setdefault(each.model, []).append(each)
    fits = {slug: {"code": 0.9} for slug in served}
    conditions = filters(requirements, wishes)
    try:
        ask = RoutingRequest([router], requirements, wishes)
        plan = routing.plan(ask, served, RoutingContext(seed=seed, fits=fits))
    except NoEndpointError:
        free = router.endswith("/free")
        assert not any(
            all(each.accepts(endpoint) for each in conditions)
            for endpoint in endpoints
            if not free or endpoint.price == Price()
        )
        return
    for place in plan.steps:
        assert all(each.accepts(place.endpoint) for each in conditions)
        assert place.endpoint in endpoints
        assert not router.endswith("/free") or place.endpoint.price == Price()
