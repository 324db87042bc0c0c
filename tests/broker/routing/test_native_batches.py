import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.completion import Usage
from broker.errors import InvalidRequestError
from broker.pricing import Price, cost
from broker.providers.endpoints import Endpoint
from broker.providers.pacing import ProviderLimits
from broker.requests.operations import Operation
from broker.routing import Plan, PlanStep, native_batches
from workers.adapters.base import Upstream
from workers.adapters.registry import ADAPTERS
from workers.native_batches.registry import BATCH_APIS
from workers.provider_routes import ProviderRoute

HOUR = 3_600_000


def plan(*places):
    """A plan of (provider, model, whether it is batched)."""
    return Plan(
        [
            PlanStep(
                Endpoint(provider=provider, model=model, native=model, batched=batched),
                "because",
            )
            for provider, model, batched in places
        ]
    )


def columns(body, places, *, time_left_ms=None):
    return native_batches.choose_columns(
        body, plan(*places), time_left_ms=time_left_ms, min_ms=4 * HOUR
    )


BATCHED = [("alpha", "acme/small", True)]


@pytest.mark.parametrize(
    ("body", "time_left_ms", "goes"),
    [
        ({"service_tier": "batch"}, None, True),
        ({"service_tier": "flex"}, None, False),
        ({}, 100 * HOUR, False),
        ({"provider": {"prefer": "cheapest"}}, 4 * HOUR, True),
        ({"provider": {"prefer": "cheapest"}}, 4 * HOUR - 1, False),
        ({"provider": {"prefer": "cheapest"}}, None, False),  # nobody said that it can wait
        ({"provider": {"prefer": "cheapest"}, "stream": True}, 9 * HOUR, False),
    ],
)
def test_who_goes_into_a_batch(body, time_left_ms, goes):
    assert bool(columns(body, BATCHED, time_left_ms=time_left_ms)) == goes


def test_the_first_place_of_the_first_model_that_has_a_batch_api_is_taken():
    asked = {"service_tier": "batch"}
    places = [("alpha", "acme/small", False), ("beta", "acme/small", True)]
    assert columns(asked, places) == {"lane": "native", "position": 1, "provider": "beta"}
    # but never another model for the sake of the price
    other = [("alpha", "acme/small", False), ("beta", "acme/large", True)]
    assert columns(asked, other) == {}


def test_a_stream_is_refused_by_name():
    with pytest.raises(InvalidRequestError) as refused:
        columns({"service_tier": "batch", "stream": True}, BATCHED)
    assert refused.value.param == "stream"


def test_what_is_declared_is_what_the_workers_can_translate():
    wires = {"openai": "openai", "groq": "openai", "mistral": "mistral"}
    wires |= {"anthropic": "anthropic", "gemini": "gemini"}
    assert native_batches.BATCH_OPERATIONS.keys() == BATCH_APIS.keys() == wires.keys()
    for api, operations in native_batches.BATCH_OPERATIONS.items():
        upstream = Upstream("any", "https://any", wire=wires[api])
        route = ProviderRoute(ADAPTERS[wires[api]], upstream, ProviderLimits())
        served = {each for each in Operation if route.adapter(each) is not None}
        assert operations <= served | ({Operation.EMBEDDINGS} if api == "mistral" else set()), api


@given(
    prompt=st.integers(0, 10**10),
    completion=st.integers(0, 10**10),
    used=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
    discount=st.integers(0, 100),
)
def test_a_batch_costs_half_unless_the_catalog_knows_better(prompt, completion, used, discount):
    price = Price(prompt=prompt, completion=completion, batch_discount=discount)
    usage = Usage(input=used[0], output=used[1])
    paid = cost(native_batches.apply_batch_discount(price), usage, tier="batch")
    exact = cost(price, usage) * (100 - (discount or 50)) / 100
    assert abs(paid - exact) <= 1
