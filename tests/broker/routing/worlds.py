"""Endpoints with a behaviour, and plans over them."""

from collections import Counter
from dataclasses import replace

from broker.pricing import Price
from broker.providers.endpoint_stats import Circuit, EndpointStats, Percentiles, Snapshot
from broker.providers.endpoints import Endpoint
from broker.routing import Preferences, Requirements, RoutingContext, RoutingRequest, plan

USD = 1_000_000_000
NOW = 1_800_000_000_000
MODEL = "acme/large"
NEEDS = Requirements(input_tokens=1_000)


def at(provider, usd=1.0, model=MODEL, **facts):
    """An endpoint that asks `usd` dollars per million tokens, in and out."""
    price = Price(prompt=round(usd * USD), completion=round(usd * USD))
    return replace(Endpoint(provider=provider, model=model, native="n", price=price), **facts)


def even(value):
    return Percentiles(value, value, value, value)


def seen(*, speed=None, wait=None, uptime=None, attempts=200, **more):
    """The stats of an endpoint: tokens/s, seconds to the first token, success rate."""
    return EndpointStats(
        uptime_5m=uptime,
        attempts_5m=attempts if uptime is not None else 0,
        throughput_5m=None if speed is None else even(speed),
        latency_5m=None if wait is None else even(wait),
        **more,
    )


def snapshot(**stats):
    """Return the stats of the endpoints of MODEL, by provider."""
    return Snapshot({(slug, MODEL): each for slug, each in stats.items()}, taken_at=NOW)


def planned(
    endpoints, *, seed=1, stats=None, affinity=None, requirements=NEEDS, models=None, **wishes
):
    served = {}
    for each in endpoints:
        served.setdefault(each.model, []).append(each)
    ask = RoutingRequest(models or list(served), requirements, Preferences(**wishes))
    mapping = {name: served.get(name) or served.get(name.split(":")[0], []) for name in ask.models}
    context = RoutingContext(stats or snapshot(), affinity or {}, seed)
    return plan(ask, mapping, context)


def order(the_plan):
    return [each.endpoint.provider for each in the_plan.steps]


def firsts(endpoints, *, draws=2_000, **options):
    """Return the share of many requests for which each provider is first."""
    count = Counter(order(planned(endpoints, seed=n, **options))[0] for n in range(1, draws + 1))
    return {each.provider: count[each.provider] / draws for each in endpoints}


OPEN_CIRCUIT = EndpointStats(circuit=Circuit.OPEN, paused_until=NOW + 5_000)
