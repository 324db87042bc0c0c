import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import routing
from broker.errors import InvalidRequestError, NoEndpointError
from broker.pricing import Price
from broker.routing import Endpoint, Plan, PlannedEndpoint
from tests.factories import make_endpoint


@pytest.mark.parametrize(
    ("body", "models"),
    [
        ({"model": "a/1"}, ["a/1"]),
        ({"models": ["a/1", "b/2"]}, ["a/1", "b/2"]),
        ({"model": "a/1", "models": ["b/2", "a/1"]}, ["a/1", "b/2"]),
        ({"model": "a/1", "route": {"fallbacks": ["b/2"]}}, ["a/1", "b/2"]),
        ({"model": "a/1", "models": ["c/3"], "route": {"fallbacks": ["b/2"]}},
         ["a/1", "c/3", "b/2"]),
        ({"model": "a/1", "route": "fallback", "models": None}, ["a/1"]),
    ],
)  # fmt: skip
def test_which_models_a_body_asks_for(body, models):
    assert routing.requested_models(body) == models


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        ({"model": "", "models": []}, "model"),
        ({"models": [f"a/{n}" for n in range(routing.MAX_MODELS + 1)]}, "models"),
    ],
)
def test_a_body_without_usable_models_is_refused_by_field(body, param):
    with pytest.raises(InvalidRequestError) as refusal:
        routing.requested_models(body)
    assert refusal.value.param == param


def places(plan):
    return [(plan[n].provider, plan[n].model) for n in range(len(plan))]


def test_the_first_choice_comes_first_and_within_a_model_the_cheapest():
    # Given two models, of which the second has the cheapest endpoint of all
    endpoints = {
        "a/1": [
            make_endpoint("dear", "a/1", prompt=9, completion=9),
            make_endpoint("cheap", "a/1", prompt=1, completion=2),
        ],
        "b/2": [make_endpoint("free", "b/2")],
    }
    # When a request names both
    plan = routing.plan(["a/1", "b/2"], endpoints)
    # Then the model's order wins over the price, and each place says why it is there
    assert places(plan) == [("cheap", "a/1"), ("dear", "a/1"), ("free", "b/2")]
    assert [place.reason for place in plan.places] == [
        "requested model, cheapest endpoint",
        "requested model, endpoint 2 by price",
        "fallback model 1, cheapest endpoint",
    ]


def test_a_fallback_that_nobody_serves_is_passed_over():
    plan = routing.plan(["a/1", "b/2"], {"a/1": [make_endpoint("x", "a/1")], "b/2": []})
    assert places(plan) == [("x", "a/1")]


def test_a_request_nobody_serves_is_refused_with_its_models_names():
    with pytest.raises(NoEndpointError, match="a/1, b/2"):
        routing.plan(["a/1", "b/2"], {"a/1": []})


def test_the_next_model_skips_other_endpoints_of_the_same():
    plan = Plan(
        [PlannedEndpoint(make_endpoint("p", model), "") for model in ("a/1", "a/1", "b/2", "b/2")]
    )
    assert [plan.next_model(n) for n in range(4)] == [2, 2, None, None]


NANOS = st.integers(0, 2**62)
ENDPOINTS = st.builds(
    Endpoint,
    provider=st.text(min_size=1),
    model=st.text(min_size=1),
    native=st.text(),
    price=st.builds(Price, NANOS, NANOS, st.none() | NANOS, st.none() | NANOS, NANOS),
)


@given(st.lists(st.builds(PlannedEndpoint, ENDPOINTS, st.text()), min_size=1, max_size=5))
def test_a_stored_plan_reads_as_it_was_written(planned):
    assert routing.decode(routing.encode(Plan(planned))) == Plan(planned)
