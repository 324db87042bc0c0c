import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import routing
from broker.pricing import Price
from broker.providers.endpoints import Endpoint
from broker.routing import Exclusion, Plan, PlanStep
from tests.factories import make_endpoint

NANOS = st.integers(0, 2**62)
ENDPOINTS = st.builds(
    Endpoint,
    provider=st.text(min_size=1),
    model=st.text(min_size=1),
    native=st.text(),
    price=st.builds(Price, NANOS, NANOS, st.none() | NANOS, st.none() | NANOS, NANOS),
)
PLANS = st.builds(
    Plan,
    steps=st.lists(st.builds(PlanStep, ENDPOINTS, st.text()), min_size=1, max_size=5),
    excluded=st.lists(st.builds(Exclusion, st.text(), st.text(), st.text(), st.text())).map(tuple),
    strategy=st.text(),
    seed=st.integers(0, 2**32 - 1),
    notes=st.lists(st.text()).map(tuple),
    choice=st.none() | st.just({"task": "code"}),
)


@given(PLANS)
def test_a_stored_plan_reads_as_it_was_written(planned):
    assert routing.decode_plan(routing.encode_plan(planned)) == planned


def test_a_plan_of_an_earlier_version_is_understood():
    place = {
        "provider": "alpha",
        "model": "acme/small",
        "native_model": "native-acme/small",
        "reason": "requested model, cheapest endpoint",
        "price": {"prompt": 1, "completion": 2, "cache_read": None, "cache_write": None,
                  "request": 3},
        "supported_parameters": ["seed"],
    }  # fmt: skip
    old = routing.decode_plan(orjson.dumps([place]))
    assert old[0].provider == "alpha"
    assert old[0].price == Price(1, 2, None, None, 3)
    assert old[0].supported_parameters == {"seed"}
    assert old.excluded == ()


@pytest.mark.parametrize(("count", "kept"), [(3, 3), (5_000, 50)])
def test_a_stored_plan_is_bounded(count, kept):
    out = tuple(Exclusion(f"p{n}", "a/1", "max_price") for n in range(count))
    stored = routing.encode_plan(Plan([PlanStep(make_endpoint(), "only")], out))
    assert len(routing.decode_plan(stored).excluded) == kept
    assert len(stored) < 4_000


def test_the_next_model_skips_other_endpoints_of_the_same():
    plan = Plan([PlanStep(make_endpoint("p", model), "") for model in ("a/1", "a/1", "b/2", "b/2")])
    assert [plan.next_model(n) for n in range(4)] == [2, 2, None, None]
