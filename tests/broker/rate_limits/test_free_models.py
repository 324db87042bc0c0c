"""Free models: every price is zero, and their limits count every call, whatever its name."""

from dataclasses import fields, replace

import pytest

from broker import routing, submission
from broker.errors import NoEndpointError
from broker.pricing import PictureRate, Price, Tier
from broker.pricing.price import COSTS
from broker.providers.endpoints import Endpoint
from broker.rate_limits import limits_of
from broker.settings import Settings
from broker.submission import JobOptions
from tests.factories import SETTINGS, make_principal


def test_every_field_that_is_money_counts():
    told_apart = {"pictures", "tiers", "as_stated", "batch_discount"}
    told_apart |= {"flex_percent", "priority_percent"}
    assert {each.name for each in fields(Price)} - told_apart - {"web_search"} == set(COSTS)


@pytest.mark.parametrize("name", COSTS)
def test_a_model_with_any_price_is_not_free(name):
    paid = replace(Price(), **{name: 1})
    assert not paid.is_free
    assert not Price(tiers=(Tier(10, paid),)).is_free


def test_nothing_is_free_that_tells_its_price_afterwards():
    assert Price().is_free
    assert Price(cache_read=0, web_search=5, batch_discount=50).is_free
    assert not Price(as_stated=True).is_free
    assert not Price(pictures=(PictureRate("high", None, 1),)).is_free


@pytest.mark.parametrize("name", ["acme/voice:free", "openrouter/free", "waybill/free"])
def test_a_model_that_is_priced_by_the_piece_is_never_chosen_as_free(name):
    spoken = Endpoint("p", "acme/voice", "v", price=Price(characters=15 * 10**9))
    with pytest.raises(NoEndpointError):
        plan(name, [spoken])


def plan(name, endpoints):
    served = {each.model: [each] for each in endpoints}
    served[name] = endpoints
    asked = submission.build_routing_request(
        {"model": name, "messages": [{"role": "user", "content": "hi"}]}
    )
    return routing.plan(asked, served, routing.ORDINARY)


def prepared(principal, models, endpoints):
    body = {"models": models, "messages": [{"role": "user", "content": "hi"}]}
    return submission.prepare(body, JobOptions(), principal, endpoints, SETTINGS)


FREE = [Endpoint("p", "acme/small", "s")]
LISTED = [Endpoint("p", "acme/small:free", "s")]
PAID = [Endpoint("p", "acme/large", "l", price=Price(prompt=10**9))]


@pytest.mark.parametrize(
    ("models", "endpoints", "counted"),
    [
        (["acme/small:free"], {"acme/small:free": FREE}, True),  # a suffix
        (["acme/small:free"], {"acme/small:free": LISTED}, True),  # a model of that name
        (["acme/newest"], {"acme/newest": LISTED}, True),  # another name of it
        (["acme/large", "acme/small:free"],
         {"acme/large": PAID, "acme/small:free": LISTED}, True),  # as a fallback
        (["acme/small"], {"acme/small": FREE}, False),  # a server of one's own
        (["acme/large"], {"acme/large": PAID}, False),
    ],
)  # fmt: skip
def test_every_free_call_is_counted(database, models, endpoints, counted):
    principal = make_principal(database)
    job = prepared(principal, models, endpoints)
    assert job.is_free is counted
    limits = limits_of(principal, job.row, Settings(free_requests_per_day=7), is_free=job.is_free)
    assert any(limit.name.startswith("free:") for limit in limits) is counted
