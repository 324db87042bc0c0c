"""Microseconds to plan a job: `python -m tests.benchmarks.plans`. CPU time, best of several runs.

The catalog is 5,000 endpoints large in every line; a plan looks at those of its models only.
"""

import sys
import time
import timeit
from collections.abc import Callable

from broker import routing
from broker.pricing import Price
from broker.providers.endpoint_stats import EndpointStats, Percentiles, Snapshot
from broker.providers.endpoints import Endpoint
from broker.routing import Preferences, Requirements, RoutingContext, RoutingRequest, Sort

USD = 1_000_000_000
NEEDS = Requirements(input_tokens=1_000, output_tokens=500, parameters=frozenset({"temperature"}))
SIZES = (1, 3, 50)
FILLING = 5_000


def main() -> None:
    catalog = world()
    spread = Percentiles(30, 40, 50, 60)
    stats = {
        (each.provider, each.model): EndpointStats(
            uptime_5m=0.99,
            uptime_30m=0.99,
            uptime_1d=0.99,
            attempts_5m=100,
            latency_5m=spread,
            latency_30m=spread,
            throughput_5m=spread,
            throughput_30m=spread,
        )
        for served in catalog.values()
        for each in served
    }
    context = RoutingContext(Snapshot(stats), seed=7)
    say(f"{sum(map(len, catalog.values())):,} endpoints of {len(catalog):,} models")
    for size in SIZES:
        ask = RoutingRequest([f"bench/{size}"], NEEDS)
        plan = routing.plan(ask, catalog, context)
        stored = routing.encode_plan(plan)
        planning = microseconds(lambda ask=ask: routing.plan(ask, catalog, context))
        encoding = microseconds(lambda plan=plan: routing.encode_plan(plan))
        decoding = microseconds(lambda stored=stored: routing.decode_plan(stored))
        say(
            f"{size:>5} endpoints: plan {planning:6.1f} µs, encode {encoding:5.1f} µs, "
            f"decode {decoding:5.1f} µs, {len(stored):,} bytes"
        )
    fits = {slug: {"chat": 0.9} for slug in list(catalog)[:100]}
    choosing = RoutingContext(Snapshot(stats), seed=7, fits=fits)
    for what, sort in (("by fit", None), ("by price", Sort.PRICE), ("by speed", Sort.THROUGHPUT)):
        ask = RoutingRequest(["waybill/auto"], NEEDS, Preferences(sort=sort))
        say(
            f"auto router over {len(fits)} rated models, {what}: "
            f"{microseconds(lambda ask=ask: routing.plan(ask, catalog, choosing)):,.0f} µs"
        )


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def world() -> dict[str, list[Endpoint]]:
    """One model of each size, and as many others with ten endpoints as fill the catalog."""
    sizes = {f"bench/{size}": size for size in SIZES}
    sizes |= {f"other/{n}": 10 for n in range((FILLING - sum(SIZES)) // 10)}
    return {
        slug: [_endpoint(slug, number) for number in range(size)] for slug, size in sizes.items()
    }


def _endpoint(slug: str, number: int) -> Endpoint:
    price = Price(prompt=USD + number, completion=3 * USD, cache_read=USD // 10)
    return Endpoint(f"p{number}", slug, "native", price, context_length=128_000)


def microseconds(run: Callable[[], object]) -> float:
    count = 200
    return min(timeit.repeat(run, number=count, repeat=7, timer=time.process_time)) / count * 1e6


if __name__ == "__main__":
    main()
